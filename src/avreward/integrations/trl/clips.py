"""Sample clips of a TRL run: what the model makes, with sound, in TensorBoard, W&B, trackio and a folder."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from avreward._extras import extra
from avreward.errors import ArgumentError, AvrewardError
from avreward.integrations.trl.rewards import AsyncTrlReward, TrlReward
from avreward.training.clip_log import log_clips

with extra("trl"):
    from transformers import TrainerCallback


class ClipLogCallback(TrainerCallback):
    """Show some clips of every N-th step, from the worst to the best, each with its reward.

    The clips are those that the reward functions judge: with `render` the rendered sound, with `video_column` the sound
    on its video. They are written to ``OUTPUT_DIR/samples/step-…/`` and shown in the trackers that the trainer reports
    to (``report_to``): TensorBoard (in the run ``samples`` beside the trainer's), W&B, trackio. Processes other than
    the first show nothing.

    Args:
        function: a reward function of the trainer, from `trl_reward` or `trl_rewards`.
        every: number of steps from one sample to the next; the first is at step 0.
        count: number of clips, spread evenly from the lowest reward to the highest.
        folder: where they are written (default: ``samples`` in the trainer's ``output_dir``).
        name: under which trackers show them.

    Raises:
        ArgumentError: if a number is not positive, or `function` is another function.

    Example:
        >>> from avreward.integrations import ClipLogCallback, trl_reward
        >>> judge = trl_reward(rater["audio_quality"])
        >>> callback = ClipLogCallback(judge, every=100)
        >>> trainer = GRPOTrainer(model, judge, config, train_dataset=dataset, callbacks=[callback])  # doctest: +SKIP
    """

    def __init__(
        self,
        function: TrlReward | AsyncTrlReward,
        every: int = 50,
        count: int = 4,
        folder: str | PathLike[str] | None = None,
        name: str = "samples",
    ) -> None:
        for label, value in (("every", every), ("count", count)):
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(label, "a positive integer", value)
        if not isinstance(function, TrlReward | AsyncTrlReward):
            raise ArgumentError("function", "a reward function from trl_reward or trl_rewards", function)
        self.function, self.every, self.count, self.folder, self.name = function, every, count, folder, name
        self._due = False
        self._writer: Any = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        """Ask the reward function for samples of the next batch where they are due."""
        if state.is_world_process_zero and state.global_step % self.every == 0:
            self._due = True
            self.function.samples.wanted = self.count
        return control

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        """Show the samples that have come; a batch may be made once for several steps."""
        found = self.function.samples.take() if self._due else []
        if found:
            self._due = False
            folder = Path(self.folder) if self.folder is not None else Path(args.output_dir) / "samples"
            captions = [f"{_shown(value)} {text}".strip() for _, value, text in found]
            trackers = self._trackers(args)
            clips = [clip for clip, *_ in found]
            try:
                log_clips(trackers, clips, state.global_step, folder, captions=captions, name=self.name)
            except (AvrewardError, OSError) as error:  # a full disk must not end the training
                warnings.warn(f"{folder}: no samples of step {state.global_step} ({error})", stacklevel=2)
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> Any:
        """Close the writer."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        return control

    def _trackers(self, args: Any) -> list[Any]:
        wanted: Sequence[str] = args.report_to if isinstance(args.report_to, list) else [args.report_to]
        found: list[Any] = []
        if "tensorboard" in wanted:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                self._writer = SummaryWriter(str(Path(args.output_dir) / "runs" / self.name))
            found.append(self._writer)
        if "wandb" in wanted:
            run = import_module("wandb").run  # the trainer has imported it, and begun a run
            found += [run] if run is not None else []
        if "trackio" in wanted:
            found.append(import_module("trackio"))
        return found


def _shown(value: float | None) -> str:
    return "no reward" if value is None or math.isnan(value) else f"{value:.4g}"
