"use strict";
// The search hides groups that lack one of its words; one player plays at a time.
(() => {
  const groups = [...document.querySelectorAll(".group")];
  const search = document.getElementById("search");
  const found = document.getElementById("found");
  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const group of groups) {
      group.hidden = !words.every((word) => group.dataset.text.includes(word));
      shown += group.hidden ? 0 : 1;
    }
    found.textContent = words.length ? `${shown} of ${groups.length}` : "";
  }
  search.addEventListener("input", show);
  show(); // a browser keeps what was typed when the page is loaded again
  const players = [...document.querySelectorAll("video, audio")];
  for (const player of players) {
    player.addEventListener("play", () => players.forEach((other) => other !== player && other.pause()));
  }
})();
