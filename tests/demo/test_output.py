"""Output of several processes on one terminal."""

import os
import subprocess
import sys

PROGRAM = "import sys; from demo.output import write_lines as w; sys.stderr.write(str([w('run', 'x'), w('web', 'y')]))"


def test_each_line_starts_with_the_name_of_its_process():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("run    | x\nweb    | y\n", "[True, True]")


def test_each_writer_notices_a_closed_output_not_only_the_first():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=writer, stderr=subprocess.PIPE, check=True)
    finally:
        os.close(writer)
    assert done.stderr == b"[False, False]"
