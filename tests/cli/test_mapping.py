"""The command `check-mapping`."""

import json

import pytest

from consumer.settings import Settings
from tests.cli.helpers import invoke

MAPPING = "[[shape]]\nkey = 'text'\n[shape.fields]\nsegment_id = 'id'\npredicted_speed = 'v'\nmodel = '$key'\n"


@pytest.fixture
def check(tmp_path):
    """Run the command with a mapping and files of these contents."""

    def check(mapping, *samples, options=()):
        file = tmp_path / "mapping.toml"
        file.write_text(mapping)
        paths = [tmp_path / f"{number}.json" for number in range(len(samples))]
        for path, sample in zip(paths, samples, strict=True):
            path.write_text(sample)
        done = invoke(Settings(), "check-mapping", *options, str(file), *map(str, paths))
        return done.exit_code, done.output.replace(f"{tmp_path}/", "").splitlines()

    return check


def test_each_message_is_shown_with_what_it_becomes(check):
    lines = '{"id": "A", "v": 45}\n\n{"id": "B"}\n'
    code, output = check(MAPPING, lines, '{\n"id": "C",\n"v": 46\n}', options=("--key", "K"))
    assert code == 1
    assert output[0] == "mapping.toml: can be used"
    label, _, prediction = output[1].partition(": prediction ")
    assert (label, json.loads(prediction)["segment_id"], json.loads(prediction)["model"]) == ("0.json:1", "A", "K")
    assert output[2].startswith("0.json:3: refused (no_predicted_speed): no predicted speed is given")
    assert output[3].startswith('1.json: prediction {"segment_id":"C"')
    assert len(output) == 4


def test_an_observation_is_called_one(check):
    mapping = MAPPING.replace("predicted_speed", "current_speed").replace("\nmodel = '$key'", "")
    code, output = check(mapping, '{"id": "A", "v": 45}')
    label, _, observation = output[1].partition(": observation ")
    assert (code, label, json.loads(observation)["current_speed"]) == (0, "0.json", 45.0)


def test_a_removal_and_an_empty_message_are_shown(check):
    code, output = check(f"[[shape]]\nwhen = 'r'\neach = 'r'\n{MAPPING[23:]}", '{"segment_id": "A", "__deleted": true}')
    assert (code, output[1]) == (0, "0.json: removal of 'A'")


def test_a_mapping_alone_is_checked(check):
    assert check(MAPPING) == (0, ["mapping.toml: can be used"])


def test_samples_are_of_the_topic_that_the_file_names(check):
    named = MAPPING.replace("key =", "topic = 'roads'\nkey =")
    code, output = check(named, '{"id": "A", "v": 45}')
    assert (code, output[1].partition(" {")[0]) == (0, "0.json: prediction")
    code, output = check(named, '{"id": "A", "v": 45}', options=("--topic", "other"))
    assert (code, output[1].partition(": n")[0]) == (1, "0.json: refused (no_segment)")


def test_with_several_topics_the_option_names_one(check):
    several = "".join(MAPPING.replace("key =", f"topic = '{topic}'\nkey =") for topic in ("b", "a"))
    assert check(several, '{"id": "A", "v": 45}') == (
        2,
        ["Error: mapping.toml has shapes for the topics a, b; name that of the samples with --topic"],
    )
    code, output = check(several, '{"id": "A", "v": 45}', options=("--topic", "b"))
    assert (code, output[1].partition(" {")[0]) == (0, "0.json: prediction")


def test_a_wrong_mapping_is_reported_with_its_line(check):
    code, output = check(MAPPING.replace("'v'", "'v['"), "{}")
    assert code == 2
    assert output == [output[0]]
    assert "mapping.toml' can't be used: line 5: shape 1, field predicted_speed: 'v[' is no expression" in output[0]
