"""Small recordings for tests: a few sensors on one road, with rush hours and noise."""

import csv
import gzip
import random

from demo.series import Recording, Sensor

SENSORS = [Sensor(f"70{index}", 34.0 + index / 100, -118.3, "US101", "N") for index in range(5)]


def recording(days=4, step_seconds=900, seed=3):
    """Return synthetic speeds: the usual speed of the time of day plus an AR(1) deviation of 0.9 per step."""
    chance, slots = random.Random(seed), 86_400 // step_seconds
    deviation = [0.0] * len(SENSORS)
    columns = [[] for _ in SENSORS]
    for row in range(days * slots):
        hour = row % slots * 24 / slots
        usual = 62 - 25 * (7 <= hour < 9) - 30 * (16 <= hour < 19)
        for index, column in enumerate(columns):
            deviation[index] = 0.9 * deviation[index] + chance.gauss(0, 2)
            column.append(round(min(75.0, max(3.0, usual + deviation[index])), 2))
    return Recording(SENSORS, columns)


def write(folder, made, name="speeds.csv"):
    """Write a recording as the two files of `replay`; return their paths."""
    speeds, sensors = folder / name, folder / "sensors.csv"
    with gzip.open(speeds, "wt", newline="") if name.endswith(".gz") else speeds.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(sensor.sensor_id for sensor in made.sensors)
        writer.writerows(zip(*made.columns, strict=True))
    with sensors.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("sensor_id", "latitude", "longitude", "freeway", "direction"))
        writer.writerows(made.sensors)
    return speeds, sensors
