"""Runs commands of ``pacx`` one after the other, each in a process of its own that may be killed.

What they import takes longer than the trainings of the tests, so it is imported once, and processes
are forked. A line of the input is a JSON list of arguments. Answered are two lines: the process
that runs the command, and once it ended its exit status, negative where a signal ended it.
"""

from __future__ import annotations

import json
import os
import sys

import torch
import torch._dynamo  # which the first optimiser imports
import torch.utils.tensorboard
from typer.testing import CliRunner

import pacx_training.agglomeration
import pacx_training.distillation
import pacx_training.pretraining  # noqa: F401
from pacx.cli import app
from pacx_training.encoder import EncoderConfig, VisionTransformer
from pacx_training.lora import LoraSettings, add_lora


def main() -> None:
    """Run what is asked for until the input ends."""
    torch.set_num_threads(1)  # sums are the same bit for bit only over as many threads
    # PEFT is imported where it is used first.
    add_lora(VisionTransformer(EncoderConfig(embed_dim=4, depth=1, num_heads=1)), LoraSettings())
    for line in sys.stdin:
        process = os.fork()
        if not process:
            answer = CliRunner().invoke(app, json.loads(line), catch_exceptions=False)
            os._exit(answer.exit_code)
        _say(process)
        _, status = os.waitpid(process, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
