"""The programs behind the viewer's tests and figures: detector, acquisition server, viewer."""

import contextlib
import json
import signal
import subprocess
import time


class TooLate(Exception):
    """What was waited for did not happen."""


def eventually(what, ask, limit=30.0):
    """Asks until the answer is there; for what nobody tells of."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise TooLate(f"{what}: not within {limit} s")


class Program:
    """A program that prints one line of JSON when it listens."""

    def __init__(self, command):
        self.process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {self.process.wait()}")
        self.told = json.loads(line)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.stdout.close()


class Bench:
    """A simulated detector, an acquisition server and a viewer, on free ports."""

    def __init__(self, stemwire, view):
        self.stemwire, self.view = stemwire, view
        self.programs = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.programs.close()

    def start(self, *command):
        program = Program(command)
        self.programs.callback(program.end)
        return program

    def detector(self, source="synthetic", *options):
        ports = ["--control-port", 0, "--data-port", 0, "--trigger-port", 0]
        told = self.start(self.stemwire, "sim", source, "--json", "--wait-trigger", *ports, *options).told
        return f"merlin://127.0.0.1:{told['control_port']},{told['data_port']}"

    def server(self, source, *options, control_port=0):
        ports = ["--control-port", control_port, "--live-port", 0, "--work-port", 0, "--http-port", 0]
        program = self.start(self.stemwire, "serve", "--source", source, "--json", *ports, *options)
        self.control_port = program.told["control_port"]
        return program

    def viewer(self, *options, port=0):
        command = [*self.view, "--connect", f"tcp://127.0.0.1:{self.control_port}", "--http-port", port, "--json"]
        program = self.start(*command, *options)
        return program, f"http://127.0.0.1:{program.told['http_port']}/"
