/* SPDX-License-Identifier: ISC */
/*
 * Shows the counter, adds to it, and lists what the server tells of itself.
 * The list is made of whatever JSON comes, so that the server can tell more
 * without a change here. Answers become text, never markup.
 */
"use strict";

const value = document.getElementById("value");
const add = document.getElementById("add");
const error = document.getElementById("error");
const facts = document.getElementById("facts");

/* Milliseconds until an answer is no longer waited for. */
const patience = 10000;

async function ask(path, method = "GET") {
    const response = await fetch(path, {
        method,
        cache: "no-store",
        headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(patience),
    });

    if (!response.ok) {
        throw new Error(`The server answered ${path} with ${response.status}.`);
    }
    return response.json();
}

function explain(reason) {
    switch (reason.name) {
    case "TypeError":
        return "The server cannot be reached.";
    case "TimeoutError":
        return "The server did not answer in time.";
    case "SyntaxError":
        return "The server's answer is not JSON.";
    default:
        return reason.message;
    }
}

function complain(reason) {
    error.textContent = explain(reason);
    error.hidden = false;
}

/*
 * Asks for the count and shows it. A button that is disabled loses the focus,
 * which whoever uses a keyboard gets back.
 */
async function count(method) {
    const focused = document.activeElement === add;

    add.disabled = true;
    try {
        const answer = await ask("/api/counter", method);

        if (!Number.isInteger(answer?.counter)) {
            throw new Error("The server's answer holds no count.");
        }
        value.textContent = String(answer.counter);
    } catch (reason) {
        complain(reason);
    } finally {
        add.disabled = false;
        if (focused && document.activeElement === document.body) {
            add.focus();
        }
    }
}

/* The names and values in a piece of JSON, { a: { b: 1 } } as ["a.b", "1"]. */
function* flatten(data, name = "") {
    if (data === null || typeof data !== "object") {
        yield [name, data === null ? "none" : String(data)];
        return;
    }

    const entries = Object.entries(data);

    if (entries.length === 0 && name !== "") {
        yield [name, "none"];
    }
    for (const [key, inner] of entries) {
        yield* flatten(inner, name === "" ? key : `${name}.${key}`);
    }
}

function row([name, text]) {
    const group = document.createElement("div");
    const term = document.createElement("dt");
    const description = document.createElement("dd");

    term.textContent = name;
    description.textContent = text;
    group.append(term, description);
    return group;
}

async function inform() {
    try {
        const info = await ask("/api/info");

        facts.replaceChildren(...Array.from(flatten(info), row));
    } catch (reason) {
        complain(reason);
    }
}

add.addEventListener("click", () => {
    error.hidden = true;
    count("POST");
});
count("GET");
inform();
