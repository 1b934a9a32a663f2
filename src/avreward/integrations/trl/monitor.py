"""The reward monitor as a callback of TRL's trainers: a held-out reward of weight 0 beside the trained one."""

from __future__ import annotations

import math
from typing import Any

from avreward._extras import extra
from avreward.integrations.trl.rewards import MONITOR
from avreward.training.monitor import RewardMonitor

with extra("trl"):
    from transformers import TrainerCallback
    from transformers.trainer_callback import ExportableState


class RewardMonitorCallback(TrainerCallback, ExportableState):
    """Stops training once the trained reward rises while the held-out one falls.

    Both are reward functions of the trainer, the held-out one with weight 0: TRL judges the same completions by both
    and logs their means, which this reads. A log without both means is left out, so log every step
    (``logging_steps=1``) or count `window` in logs.

    What it finds, ``reward_monitor/correlation``, ``…/trained`` and ``…/held_out`` (ρ of each with time), stands from
    the first full window on in `trainer.state.log_history`, with the means of the same step. A tracker such as W&B has
    had a step's log before any callback of ours; it gets the figures with the next one, from our reward functions
    (`trl_reward`, `trl_rewards`). Other reward functions tell it nothing.

    Its state lies in the checkpoint; with
    ``restore_callback_states_from_checkpoint=True`` a resumed run goes on with it.

    Args:
        trained, held_out: ``__name__`` of the two reward functions.
        window, alpha, patience: as in `RewardMonitor`.
        stop: whether to stop the training, or only to log ``reward_monitor/…``.

    >>> from avreward.integrations import trl_reward
    >>> functions = [trl_reward(reward, name="trained"), trl_reward(rater["static_quality"], name="held_out")]
    >>> callback = RewardMonitorCallback(*(function.__name__ for function in functions))
    >>> config = GRPOConfig(reward_weights=[1.0, 0.0], logging_steps=1)  # doctest: +SKIP
    >>> trainer = GRPOTrainer(model, functions, config, train_dataset=dataset, callbacks=[callback])  # doctest: +SKIP
    """

    def __init__(
        self,
        trained: str,
        held_out: str,
        window: int = 50,
        alpha: float = 0.01,
        patience: int = 3,
        stop: bool = True,
    ) -> None:
        self.trained, self.held_out, self.stop = trained, held_out, stop
        self.monitor = RewardMonitor(window, alpha, patience)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **rest: Any) -> Any:
        """Read the two means, add the correlations to the history, and stop where they have diverged."""
        found = [(logs or {}).get(f"rewards/{name}/mean") for name in (self.trained, self.held_out)]
        if logs is None or any(value is None or not math.isfinite(value) for value in found):
            return control
        now = self.monitor.update([found[0]], [found[1]])
        figures = {"correlation": now.correlation, "trained": now.trained_trend, "held_out": now.held_out_trend}
        told = {f"{MONITOR}{name}": rho for name, rho in figures.items() if rho is not None}
        logs.update(told)  # for callbacks after this one, such as the progress bar
        if state.log_history:
            state.log_history[-1].update(told)  # the trainer's own copy of these logs
        if now.diverged and self.stop:
            control.should_training_stop = True
        return control

    def state(self) -> dict[str, Any]:
        """Return what the trainer saves in its checkpoint."""
        saved = self.monitor.state_dict()
        settings = {name: saved[name] for name in ("window", "alpha", "patience")}
        names = {"trained": self.trained, "held_out": self.held_out, "stop": self.stop}
        return {"args": {**names, **settings}, "attributes": {"saved": saved}}

    @property
    def saved(self) -> dict[str, Any]:
        """The monitor's state; setting it puts the monitor back, as transformers does on resuming."""
        return self.monitor.state_dict()

    @saved.setter
    def saved(self, state: dict[str, Any]) -> None:
        self.monitor = RewardMonitor.from_state_dict(state)
