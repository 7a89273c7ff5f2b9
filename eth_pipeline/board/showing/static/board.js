// Counts down, asks for new figures, and says loudly when nobody answers. The pages are complete without it.
"use strict";

const SILENT_AFTER_REFRESHES = 3;
let page = document.querySelector("main[data-now]");
let loadedAt = performance.now();
let heardAt = performance.now();
let askedAt = performance.now();
let asking = false;

const serverNow = () => new Date(page.dataset.now).getTime() + (performance.now() - loadedAt);

const duration = (milliseconds) => {
  const seconds = Math.max(Math.floor(milliseconds / 1000), 0);
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  const [d, h, min, s] = page.dataset.units.split(" ");
  if (days) return `${days} ${d} ${hours} ${h}`;
  if (hours) return `${hours} ${h} ${minutes} ${min}`;
  return minutes ? `${minutes} ${min} ${seconds % 60} ${s}` : `${seconds} ${s}`;
};

const tick = () => {
  for (const node of page.querySelectorAll("[data-until]")) {
    node.textContent = duration(new Date(node.dataset.until).getTime() - serverNow());
  }
  for (const node of page.querySelectorAll("[data-age-of]")) {
    node.textContent = duration(serverNow() - new Date(node.dataset.ageOf).getTime());
  }
  const refresh = Number(page.dataset.refresh) * 1000;
  const silent = performance.now() - heardAt > SILENT_AFTER_REFRESHES * refresh;
  document.body.classList.toggle("silent", silent);
  const banner = document.getElementById("silence");
  banner.hidden = !silent;
  if (silent) banner.querySelector("[data-silence]").textContent = `${page.dataset.now.slice(0, 16).replace("T", " ")} UTC`;
  if (performance.now() - askedAt > refresh) renew();
};

const renew = async () => {
  if (asking || document.hidden) return;
  asking = true;
  askedAt = performance.now();
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(15000) });
    if (answer.redirected && new URL(answer.url).pathname === "/login") location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const open = new Set([...page.querySelectorAll("details[open]")].map((node) => node.id));
    const closed = new Set([...page.querySelectorAll("details:not([open])")].map((node) => node.id));
    const fresh = document.importNode(next.querySelector("main[data-now]"), true);
    for (const node of fresh.querySelectorAll("details")) {
      if (open.has(node.id)) node.open = true;
      if (closed.has(node.id)) node.open = false;
    }
    page.replaceWith(fresh);
    page = fresh;
    document.title = next.title;
    loadedAt = heardAt = performance.now();
  } catch {
    // asked again after the next interval; `heardAt` stays, so that silence is noticed
  } finally {
    asking = false;
  }
};

document.addEventListener("visibilitychange", () => document.hidden || tick());
addEventListener("pageshow", (event) => event.persisted && location.reload());
setInterval(tick, 1000);
tick();
