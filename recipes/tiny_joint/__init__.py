"""A small joint generator: video and audio of a bouncing ball, made together by flow matching.

The prompt names the ball's colour. Each bounce is heard, the louder the harder it is, and the rolling ball hisses: fast
balls are loud, so that a reward of the video and one of the audio can conflict. `tiny_joint/train.py` trains it in
minutes of CPU time; its weights are not here: `tiny_joint(FOLDER)` loads what the script wrote.

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
