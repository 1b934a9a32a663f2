"""Raters taught from few choices: a small head on frozen features."""

from typing import TYPE_CHECKING

from avreward._lazy import lazy_exports

if TYPE_CHECKING:
    from avreward.raters.listener.glance import GlanceFeatures as GlanceFeatures
    from avreward.raters.listener.head import PreferenceHead as PreferenceHead
    from avreward.raters.listener.image_features import ImageFeatures as ImageFeatures
    from avreward.raters.listener.image_features import ImageNetwork as ImageNetwork
    from avreward.raters.listener.image_features import installed_image_features as installed_image_features
    from avreward.raters.listener.rater import ListenerRater as ListenerRater
    from avreward.raters.listener.sound_effects import SoundEffectsNetwork as SoundEffectsNetwork
    from avreward.raters.listener.sound_effects import SoundEffectsRater as SoundEffectsRater
    from avreward.raters.listener.sound_effects import installed_sound_effects as installed_sound_effects
    from avreward.raters.listener.student import StudentRater as StudentRater

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "glance": ["GlanceFeatures"],
        "head": ["PreferenceHead"],
        "image_features": ["ImageFeatures", "ImageNetwork", "installed_image_features"],
        "rater": ["ListenerRater"],
        "sound_effects": ["SoundEffectsNetwork", "SoundEffectsRater", "installed_sound_effects"],
        "student": ["StudentRater"],
    },
)
