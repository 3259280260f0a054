"use strict";
// One screen over /api. What others wrote (names, reasons) reaches the page as text, never as markup.

const $ = (id) => document.getElementById(id);
const MAX_EVENTS = 100;
let status_ = null;
let stream = null;

// ---- small things -----------------------------------------------------------------------------------

function make(tag, words, ...children) {
  const node = document.createElement(tag);
  if (words) node.className = words;
  for (const child of children) node.append(child);
  return node;
}

function button(text, words, onClick) {
  const node = make("button", words, text);
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function scaled(value, unit) {
  for (const [prefix, scale] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (value >= scale) return `${(value / scale).toFixed(1)} ${prefix}${unit}`;
  }
  return `${Math.round(value)} ${unit}`;
}

const rateOf = (bps) => scaled(bps, "b/s");
const percentOf = (share) => `${+(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

function toast(text) {
  say($("toast"), text);
  $("toast").classList.add("shown");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => $("toast").classList.remove("shown"), 5000);
}

// Keep one node for each item: focus and selections outlive every update.
function keyed(parent, items, keyOf, create, update) {
  const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let after = null;
  for (const item of items) {
    const key = keyOf(item);
    let node = known.get(key);
    if (!node) {
      node = create(item);
      node.dataset.key = key;
    }
    known.delete(key);
    if (after ? after.nextSibling !== node : parent.firstChild !== node) {
      parent.insertBefore(node, after ? after.nextSibling : parent.firstChild);
    }
    update(node, item);
    after = node;
  }
  for (const node of known.values()) node.remove();
}

// ---- the API ----------------------------------------------------------------------------------------

async function ask(method, path, { body, tag } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (tag !== undefined) headers["If-Match"] = tag === "*" ? "*" : `"${tag}"`;
  const answer = await fetch(`/api/${path}`, { method, headers, body: body && JSON.stringify(body) });
  if (answer.status === 204) return null;
  const told = await answer.json();
  if (!answer.ok) {
    if (answer.status === 401 && path !== "login") showLogin();
    throw new Error(told.detail || told.title);
  }
  return told;
}

// The service reads what people type, so that a rate means here what it means on the command line.
const rateFrom = async (text) => (await ask("GET", `rate?text=${encodeURIComponent(text.trim())}`)).rate_bps;

// A release that was deleted and comes back is still for whom it was.
function decidedOf({ percent, is_halted: halted }) {
  if (halted) return ": halted, as was decided before";
  return percent === null ? "" : `: for ${percent} % of boxes, as was decided before`;
}

function upload(file) {
  const request = new XMLHttpRequest();
  request.open("POST", "/api/releases");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.upload.addEventListener("progress", (event) => {
    if (event.lengthComputable) $("upload").value = event.loaded / event.total;
  });
  request.addEventListener("loadend", () => {
    $("upload").hidden = true;
    let told = {};
    try { told = JSON.parse(request.responseText); } catch { /* the service is gone: said below */ }
    if (request.status === 200) toast(`${told.name} ${told.version} is here${decidedOf(told)}`);
    else toast(told.detail || "the upload did not arrive: does the service run?");
  });
  $("upload").value = 0;
  $("upload").hidden = false;
  request.send(file);
}

// ---- the dialog: every change names what it does ------------------------------------------------------

function confirmed({ title, text, yes, danger, fields = [], act }) {
  say($("dialog-title"), title);
  say($("dialog-text"), text);
  say($("dialog-yes"), yes);
  say($("dialog-error"), "");
  $("dialog-yes").classList.toggle("danger", Boolean(danger));
  $("dialog-fields").replaceChildren(...fields.map(({ name, label, value = "", options, ...more }) => {
    const input = make(options ? "select" : "input");
    for (const [given, shown] of options || []) {
      const option = make("option", "", shown);
      option.value = given;
      input.append(option);
    }
    Object.assign(input, { name, value, ...more });
    return make("label", "", label, input);
  }));
  $("dialog-form").onsubmit = async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData($("dialog-form")));
    $("dialog-yes").disabled = true;
    try {
      await act(given);
      $("dialog").close();
    } catch (error) {
      say($("dialog-error"), error.message);
    } finally {
      $("dialog-yes").disabled = false;
    }
  };
  $("dialog").showModal();
  (fields.length ? $("dialog-fields").querySelector("input, select") : $("dialog-no")).focus();
}

$("dialog-no").addEventListener("click", () => $("dialog").close());

// ---- carousels ----------------------------------------------------------------------------------------

const releaseOf = (id) => status_.releases.find((each) => each.id === id);
const called = (release) => (release ? `${release.name} ${release.version}` : "a release that is gone");

function stateOf({ decided, on_air: live }) {
  if (live.trouble) return ["trouble", "bad"];
  if (decided.is_paused) return ["paused", "warm"];
  if (live.places.length) return ["on the air", "good"];
  return [decided.airings.length ? "starting" : "no release", "warm"];
}

function newCard(shown) {
  const card = make("article", "card carousel");
  const name = shown.decided.name;
  card.parts = {
    name: make("h3"), state: make("span", "pill"), where: make("span", "where mono"), rate: make("span", "rate"),
    now: make("span"), wanted: make("small"), trouble: make("p", "trouble"), airings: make("ul", "airings"),
    bar: make("div", "bar", make("i")),
    hours: make("p", "hint"), pause: button("", "", () => pauseOrGoOn(name)),
  };
  const { parts } = card;
  parts.rate.append(parts.now, " ", parts.wanted);
  const actions = make("div", "actions", button("Put on …", "", () => putRelease(name)),
    button("Rate …", "", () => changeRate(name)), parts.pause, button("Drop …", "danger", () => dropCarousel(name)));
  const heading = make("div", "", parts.name, parts.where);
  card.append(make("div", "top", heading, parts.state), parts.rate, parts.bar, parts.hours, parts.trouble,
    parts.airings, actions);
  return card;
}

function updateCard(card, shown) {
  const { parts } = card;
  const { decided, on_air: live } = shown;
  const [word, mood] = stateOf(shown);
  say(parts.name, decided.name);
  say(parts.where, `${decided.group} · ${decided.interface}${decided.pair ? ` · ${decided.pair} of a pair` : ""}`);
  say(parts.state, word);
  parts.state.className = `pill ${mood}`;
  say(parts.now, rateOf(live.rate_bps));
  say(parts.wanted, `of ${rateOf(shown.rate_now_bps)}${live.starts > 1 ? ` · started ${live.starts} times` : ""}`);
  parts.bar.firstChild.style.width = `${Math.min(100, (100 * live.rate_bps) / shown.rate_now_bps)}%`;
  say(parts.hours, hoursOf(decided));
  parts.hours.hidden = !decided.hours.length;
  say(parts.trouble, live.trouble);
  parts.trouble.hidden = !live.trouble;
  say(parts.pause, decided.is_paused ? "Go on" : "Pause …");
  const places = new Map(live.places.map((place) => [place.id, place]));
  keyed(parts.airings, decided.airings, (airing) => airing.release, (airing) => newAiring(decided.name, airing),
    (node, airing) => updateAiring(node, airing, places.get(airing.release)));
}

const hoursOf = ({ hours, rate_bps: otherwise }) => [...hours.map((each) =>
  `${rateOf(each.rate_bps)} from ${each.begin} to ${each.end}`), `else ${rateOf(otherwise)}`].join(", ");

function newAiring(name, airing) {
  const row = make("li", "airing");
  row.parts = { name: make("span", "name"), facts: make("p", "hint"), bar: make("div", "bar", make("i")) };
  const take = button("Take off …", "quiet", () => takeRelease(name, airing.release));
  row.append(make("div", "name", row.parts.name, row.parts.facts), take, row.parts.bar);
  return row;
}

function updateAiring(row, airing, place) {
  const release = releaseOf(airing.release);
  const halted = release && release.is_halted ? " · halted" : "";
  say(row.parts.name, called(release));
  say(row.parts.facts, place ? `${percentOf(place.share)} of the rate · cycle ${place.cycle + 1}${halted}` : "not sent");
  const bar = row.parts.bar;
  const part = place ? place.part : 0;
  bar.classList.toggle("still", part < (row.part || 0));
  row.part = part;
  bar.firstChild.style.width = `${100 * part}%`;
}

const carouselOf = (name) => status_.carousels.find((each) => each.decided.name === name);

function pauseOrGoOn(name) {
  const { decided, revision } = carouselOf(name);
  const paused = !decided.is_paused;
  confirmed({
    title: paused ? `Pause ${name}?` : `Let ${name} go on?`,
    text: paused ? `Nothing is sent to ${decided.group} until it goes on: boxes there hear nothing.`
      : `${rateOf(decided.rate_bps)} go to ${decided.group} on ${decided.interface} again.`,
    yes: paused ? `Pause ${name}` : `Let ${name} go on`,
    act: () => ask("PATCH", `carousels/${name}`, { body: { is_paused: paused }, tag: revision }),
  });
}

function changeRate(name) {
  const { decided, revision } = carouselOf(name);
  confirmed({
    title: `Another rate for ${name}`,
    text: `${decided.hours.length ? `${hoursOf(decided)}: this is about the last.` : `Now ${rateOf(decided.rate_bps)}`
      + ` on ${decided.interface}.`} The carousel goes on where it is.`,
    yes: "Change the rate",
    fields: [{ name: "rate", label: "Bit/s: 500k, 50M, 1.5G", value: `${decided.rate_bps / 1e6}M`, required: true }],
    act: async ({ rate }) => ask("PATCH", `carousels/${name}`,
      { body: { rate_bps: await rateFrom(rate) }, tag: revision }),
  });
}

function dropCarousel(name) {
  const { decided, revision } = carouselOf(name);
  confirmed({
    title: `Drop ${name}?`, danger: true, yes: `Drop ${name}`,
    text: `Its ${decided.airings.length} release(s) go off the air on ${decided.group} for good. The files stay.`,
    act: () => ask("DELETE", `carousels/${name}`, { tag: revision }),
  });
}

function putRelease(name) {
  const { revision } = carouselOf(name);
  const options = status_.releases.map((each) => [each.id, `${called(each)} (${each.hardware}, ${each.id.slice(0, 8)})`]);
  if (!options.length) {
    toast("There is no release yet: upload one first");
    return;
  }
  confirmed({
    title: `Put a release on ${name}`,
    text: "It goes on the air at once, beside the others; boxes that may have it begin to collect it.",
    yes: "Put it on the air",
    fields: [{ name: "id", label: "Release", options, value: options[0][0] },
      { name: "weight", label: "How much it is wanted, beside the others", type: "number", value: "1", min: "0.001",
        max: "1000", step: "any" }],
    act: ({ id, weight }) => ask("PUT", `carousels/${name}/releases/${id}`,
      { body: { weight: Number(weight) }, tag: revision }),
  });
}

function takeRelease(name, id) {
  const { decided, revision } = carouselOf(name);
  confirmed({
    title: `Take ${called(releaseOf(id))} off ${name}?`, danger: true, yes: "Take it off the air",
    text: `Boxes that have not collected it whole from ${decided.group} can't finish.`,
    act: () => ask("DELETE", `carousels/${name}/releases/${id}`, { tag: revision }),
  });
}

$("new-carousel").addEventListener("click", () => confirmed({
  title: "A new carousel",
  text: "It sends to a group of its own, once it has a release.",
  yes: "Make it",
  fields: [{ name: "name", label: "Name: a-z, 0-9 and dashes", required: true, maxLength: 32 },
    { name: "group", label: "Group and port", value: "239.255.77.1:5077", required: true },
    { name: "interface", label: "Interface", required: true, maxLength: 15 },
    { name: "rate", label: "Bit/s: 500k, 50M, 1.5G", value: "50M", required: true }],
  act: async ({ name, group, interface: device, rate }) => ask("POST", "carousels",
    { body: { name, group, interface: device, rate_bps: await rateFrom(rate) } }),
}));

// ---- releases -----------------------------------------------------------------------------------------

function newRelease(release) {
  const row = make("li", "card");
  const { id } = release;
  row.parts = {
    name: make("h3"), state: make("span", "pill"), facts: make("span", "facts"), bar: make("div", "bar", make("i")),
    rule: make("span", "facts"),
    stage: button("Stage …", "", () => stage(id)), halt: button("", "danger", () => haltOrResume(id)),
    remove: button("Delete …", "quiet", () => removeRelease(id)),
  };
  const { parts } = row;
  row.append(make("div", "top", parts.name, parts.state), parts.bar, parts.rule, parts.facts,
    make("div", "actions", parts.stage, parts.halt, parts.remove));
  return row;
}

function updateRelease(row, release) {
  const { parts } = row;
  const speaks = status_.rollout.can_speak;
  const share = release.percent === null ? 100 : release.percent;
  say(parts.name, called(release));
  say(parts.state, release.is_halted ? `halted${release.why ? `: ${release.why}` : ""}`
    : release.percent === null ? "for all boxes" : `for ${release.percent} % of boxes`);
  parts.state.className = `pill ${release.is_halted ? "bad" : share < 100 ? "warm" : "good"}`;
  parts.bar.firstChild.style.width = `${share}%`;
  const on = release.carousels.length ? `on ${release.carousels.join(", ")}` : "on no carousel";
  say(parts.facts, `${release.hardware} · ${scaled(release.image_bytes, "B")} · ${on} · ${release.id.slice(0, 12)}`);
  say(parts.rule, release.rule ? ruleOf(release) : "");
  parts.rule.hidden = !release.rule;
  say(parts.halt, release.is_halted ? "Resume …" : "Halt …");
  parts.halt.classList.toggle("danger", !release.is_halted);
  parts.stage.hidden = parts.halt.hidden = !speaks;
  parts.remove.hidden = release.carousels.length > 0;
}

function ruleOf({ rule, is_halted: halted }) {
  const { trials } = rule;
  const left = rule.until_unix_s === null ? 0 : Math.max(0, rule.until_unix_s - status_.unix_s);
  const words = [`by rule: ${rule.stages}`];
  if (!halted && left) words.push(`this stage ${left > 90 ? `${Math.ceil(left / 60)} min` : `${Math.ceil(left)} s`} more`);
  if (rule.success === "samples") {
    words.push(`${trials.confirmed} of ${trials.started} trials confirmed, ${trials.failed} failed`);
  }
  return words.join(" · ");
}

function stageByRule(id, { stages, success }) {
  const body = { stages: stages.trim(), success };
  return ask("PUT", `rollout/releases/${id}/rule`, { body, tag: status_.rollout.revision });
}

function stage(id) {
  const release = releaseOf(id);
  confirmed({
    title: `How many boxes get ${called(release)}?`,
    text: release.percent === null
      ? "It is for all boxes now. A share draws who they are; from then on it only grows."
      : `It is for ${release.percent} % of boxes now, and can only grow: who has it is not told that it is for others.`,
    yes: "Say so on the air",
    fields: [{ name: "percent", label: "Per cent of boxes", type: "number", min: "0", max: "100", step: "any",
      value: String(release.percent === null ? 1 : release.percent), required: true },
      { name: "stages", label: "Or by rule, stage after stage (empty: by hand)", placeholder: "1% 10m, 10% 1h, 100%",
        maxLength: 300 },
      { name: "success", label: "A rule goes on when", value: "samples",
        options: [["samples", "reports prove that few trials fail"], ["time", "the stage's time is over"]] }],
    act: ({ percent, ...rule }) => (rule.stages.trim() ? stageByRule(id, rule)
      : ask("PUT", `rollout/releases/${id}/stage`, { body: { percent: Number(percent) }, tag: status_.rollout.revision })),
  });
}

function haltOrResume(id) {
  const release = releaseOf(id);
  if (release.is_halted) {
    confirmed({
      title: `Let ${called(release)} go on?`,
      text: "Boxes that it is for collect it again, and those that gave it up on trial may install it again.",
      yes: "Go on with it",
      act: () => ask("DELETE", `rollout/releases/${id}/halt`, { tag: status_.rollout.revision }),
    });
    return;
  }
  confirmed({
    title: `Halt ${called(release)}?`, danger: true, yes: `Halt ${called(release)} everywhere`,
    text: "Every box that hears it drops what it collected; where it is on trial the box goes back. "
      + "Boxes that confirmed it keep it.",
    fields: [{ name: "why", label: "Why (boxes show it)", maxLength: 32 }],
    act: ({ why }) => ask("PUT", `rollout/releases/${id}/halt`, { body: { why }, tag: "*" }),
  });
}

function removeRelease(id) {
  const release = releaseOf(id);
  confirmed({
    title: `Delete ${called(release)}?`, danger: true, yes: "Delete the file",
    text: `${release.hardware}, ${scaled(release.file_bytes, "B")}: the file is deleted from the server.`,
    act: () => ask("DELETE", `releases/${id}`, { tag: release.revision }),
  });
}

const drop = $("drop");
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) upload(event.dataTransfer.files[0]);
});
for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
$("file").addEventListener("focus", () => drop.classList.add("focus"));
$("file").addEventListener("blur", () => drop.classList.remove("focus"));
$("file").addEventListener("change", () => {
  if ($("file").files.length) upload($("file").files[0]);
  $("file").value = "";
});

// ---- what happened -------------------------------------------------------------------------------------

const WORDS = {
  serving: () => "the service started",
  stopped: () => "stopped",
  change: (event) => `${event.who}: ${event.action} ${aboutOf(event)}`,
  rate: (event) => `${event.carousel}: ${rateOf(event.rate_bps)} from now on, by the time of day`,
  casting: (event) => `${event.carousel}: on the air at ${rateOf(event.rate_bps)}`,
  swapped: (event) => `${event.carousel}: now ${event.releases.map((each) => `${each.name} ${each.version}`).join(", ")}`,
  carousel_died: (event) => `${event.carousel}: its process died (code ${event.code}); it is started again`,
  trouble: (event) => `${event.carousel ? `${event.carousel}: ` : ""}${event.reason}`,
  trouble_over: (event) => `${event.carousel}: over: ${event.reason}`,
  peer: (event) => `${event.carousel}: the other head-end ${event.alive ? "is back" : "is silent"}`,
  decided: (event) => `${event.carousel}: says epoch ${event.epoch} on the air`,
  note: (event) => `${event.carousel}: ${event.text}`,
};

// A carousel and a person are called by their names; of a release and of roll-outs the detail says which.
function aboutOf({ kind, what, detail }) {
  if (kind === "carousel" || kind === "token") return detail ? `${what}: ${detail}` : what;
  return detail || what;
}

const WHEN = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };

function happened(event) {
  const words = WORDS[event.event];
  if (!words) return;
  const when = new Date(event.unix_s * 1000);
  const time = make("time", "", when.toLocaleString([], WHEN));
  time.dateTime = when.toISOString();
  const bad = ["trouble", "carousel_died"].includes(event.event) || event.action === "halt";
  $("event-rows").prepend(make("li", "", time, make("span", bad ? "bad" : "", words(event))));
  while ($("event-rows").children.length > MAX_EVENTS) $("event-rows").lastChild.remove();
}

// ---- the whole ------------------------------------------------------------------------------------------

function render(told) {
  status_ = told;
  say($("damage"), told.damage);
  $("damage").hidden = !told.damage;
  keyed($("interfaces"), told.interfaces, (each) => each.name, () => make("li"), (node, each) => say(node,
    `${each.name}: ${rateOf(each.wanted_bps)}${each.budget_bps === null ? "" : ` of ${rateOf(each.budget_bps)}`}`));
  keyed($("carousel-cards"), told.carousels, (each) => each.decided.name, newCard, updateCard);
  $("no-carousels").hidden = told.carousels.length > 0;
  keyed($("release-rows"), told.releases, (each) => each.id, newRelease, updateRelease);
  say($("audit"), `${told.audit.entries} decisions · ${told.audit.head.slice(0, 8)}`);
  const { gate } = told.rollout;
  $("gate").hidden = gate.state === "none";
  say($("gate"), gateOf(gate));
  $("gate").className = `pill ${gate.capacity_url && (gate.heard_ago_s === null || gate.heard_ago_s > 5) ? "bad" : ""}`;
}

function gateOf(gate) {
  const words = [`gate ${gate.state}`];
  if (gate.state === "ticking") words.push(`${Math.floor((100 * gate.tick) / gate.ticks)} % of turns`);
  if (gate.capacity_url && gate.heard_ago_s === null) words.push("its server says nothing");
  else if (gate.capacity_url) words.push(`${Math.round(gate.logins_per_s)} of ${Math.round(gate.capacity_per_s)} log-ins/s`);
  return words.join(" · ");
}

function linked(word, mood) {
  say($("link"), word);
  $("link").className = `pill ${mood}`;
}

function showLogin() {
  if (stream) stream.close();
  stream = null;
  if ($("dialog").open) $("dialog").close();
  linked("not logged in", "warm");
  $("desk").hidden = $("who").hidden = true;
  $("login").hidden = false;
  $("token").focus();
}

function showDesk(who) {
  $("login").hidden = true;
  $("desk").hidden = $("who").hidden = false;
  say($("who-name"), who.name === who.role ? who.name : `${who.name} (${who.role})`);
  $("event-rows").replaceChildren();
  stream = new EventSource("/api/events");
  stream.addEventListener("open", () => { linked("live", "good"); $("event-rows").replaceChildren(); });
  stream.addEventListener("status", (event) => render(JSON.parse(event.data)));
  stream.addEventListener("happened", (event) => happened(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    linked("the service does not answer", "bad");
    if (stream && stream.readyState === EventSource.CLOSED) setTimeout(begin, 3000);
  });
}

async function begin() {
  if (stream) stream.close();
  try {
    showDesk(await ask("GET", "me"));
  } catch (error) {
    if (error instanceof TypeError) {
      linked("the service does not answer", "bad");
      setTimeout(begin, 3000);
    }
  }
}

$("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const who = await ask("POST", "login", { body: { token: $("token").value.trim() } });
    $("token").value = "";
    say($("login-error"), "");
    showDesk(who);
  } catch (error) {
    say($("login-error"), error.message);
  }
});
$("logout").addEventListener("click", async () => {
  await ask("POST", "logout").catch(() => null);
  showLogin();
});

begin();
