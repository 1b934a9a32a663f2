"use strict";
// One clip sounds at a time. An answer counts once both were heard, and is sent once.
(() => {
  const form = document.querySelector("form.question");
  if (!form) return;
  const players = [...form.querySelectorAll("video, audio")];
  const next = form.querySelector("button");
  const said = form.querySelectorAll("[data-heard]");
  const answered = "answered" in form.dataset; // changing an answer asks for no second hearing
  const began = performance.now();
  let sent = false;

  const done = players.map(() => answered);
  function paint() {
    players.forEach((player, i) => {
      done[i] = done[i] || played[i]();
      said[i].textContent = done[i] ? "" : "not played yet";
    });
    next.disabled = sent || !done.every(Boolean) || !form.elements.choice.value;
  }
  const played = players.map((player) => heardEnough(player, paint));
  players.forEach((player) => {
    player.addEventListener("play", () => players.forEach((other) => other !== player && other.pause()));
    player.addEventListener("error", () => {
      form.querySelector(".trouble").hidden = false;
    });
  });
  form.addEventListener("change", paint);
  form.addEventListener("submit", (event) => {
    if (sent || next.disabled) { event.preventDefault(); return; }
    sent = true;
    form.elements.seconds.value = ((performance.now() - began) / 1000).toFixed(1);
    setTimeout(paint, 0);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const choice = { ArrowLeft: "first", ArrowRight: "second", ArrowDown: "none" }[event.key];
    if (event.key === "1" || event.key === "2") {
      const player = players[Number(event.key) - 1];
      player.paused ? player.play().catch(() => {}) : player.pause();
    } else if (choice && !event.target.closest?.("video, audio")) {
      form.querySelector(`[value="${choice}"]`).checked = true;
      paint();
    } else if (event.key === "Enter" && !next.disabled && event.target !== next) {
      form.requestSubmit();
    } else return;
    event.preventDefault();
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  paint();
})();
