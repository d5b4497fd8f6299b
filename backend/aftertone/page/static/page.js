// What the page does beyond its HTML, which works without: ask before what can't be taken back, and play points of the map.
"use strict";
document.addEventListener("submit", (event) => {
  const question = event.submitter && event.submitter.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);
document.addEventListener("click", (event) => {
  const dot = event.target.closest ? event.target.closest("circle[data-sound]") : null;
  if (!dot) return;
  const box = document.getElementById("map-player"), audio = box.querySelector("audio");
  const clip = dot.dataset.sound.split("/").pop().replace(/[.]wav$/, "");
  for (const other of document.querySelectorAll("circle.heard")) other.classList.remove("heard");
  dot.classList.add("heard");
  box.hidden = false;
  document.getElementById("map-said").textContent = dot.dataset.said;
  const like = document.getElementById("map-like");
  like.href = like.getAttribute("href").split("?")[0] + "?clip=" + clip;
  audio.src = dot.dataset.sound;
  audio.play();
});
// A file that is too large needn't be sent to be told so.
document.addEventListener("change", (event) => {
  const most = Number(event.target.dataset && event.target.dataset.most);
  if (!most) return;
  const file = event.target.files[0];
  event.target.setCustomValidity(file && file.size > most ? `The file has more than ${most / 1e6} MB.` : "");
  event.target.reportValidity();
});
// The clips that are asked for next change with the rest, but not under somebody who is listening.
document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target || event.target; // of what the event stream swaps in, htmx names no target
  if (target.id !== "live" || !document.getElementById("next")) return;
  if ([...document.querySelectorAll("audio")].some((audio) => !audio.paused)) return;
  htmx.ajax("GET", window.location.pathname, { source: "#next", target: "#next", select: "#next", swap: "outerHTML" });
});
