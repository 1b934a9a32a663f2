"use strict";
// Whether a person has heard enough of a player: three seconds, or nearly all of a shorter clip. `paint` runs on changes.
function heardEnough(player, paint) {
  const enough = 3;
  let heard = 0;
  let last = 0;
  player.addEventListener("play", () => { last = player.currentTime; });
  player.addEventListener("seeking", () => { last = player.currentTime; });
  player.addEventListener("timeupdate", () => {
    const step = player.currentTime - last;
    if (!player.seeking && !player.muted && step > 0 && step < 2) heard += step;
    last = player.currentTime;
    paint();
  });
  player.addEventListener("ended", paint);
  return () => (player.ended && !player.muted) || heard >= Math.min(enough, 0.8 * (player.duration || Infinity));
}
