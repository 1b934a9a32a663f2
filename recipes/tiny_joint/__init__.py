"""A small joint generator: video and audio of a bouncing ball, made together by flow matching.

The prompt names the ball's colour. It is trained on scenes in which each bounce is heard, the louder the harder it is,
and the rolling ball hisses. `tiny_joint/train.py` trains it in minutes of CPU time, and `tiny_joint/check.py` measures
what it has learned: a ball of the right colour, and audio with single beats, but neither a steady path nor the moments
of the bounces, so that video and audio are independent of each other.

>>> from avreward.generators import Condition, Noise, sample_flow
>>> generator = random_joint()
>>> encoded = generator.encode(Condition(arguments={"prompt": "a red ball"}))
>>> latents = sample_flow(generator, encoded, [Noise.of(0)], generator.sigmas(8, encoded))
>>> [clip] = generator.decode(latents, encoded)
>>> clip.video.shape, clip.audio.shape
(torch.Size([8, 3, 24, 24]), torch.Size([1, 16000]))
"""

from tiny_joint.generator import TinyJoint, random_joint, tiny_joint

__all__ = ["TinyJoint", "random_joint", "tiny_joint"]
