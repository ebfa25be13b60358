// A tab holds one connection at a time: it waits for a question, then reads the reply to its end.
"use strict";

const part = Object.fromEntries(
  ["form", "input", "ask", "stop", "question", "reasoning", "answer", "status", "tokens"]
    .map((id) => [id, document.getElementById(id)]),
);
let shown = 0;

const post = (path, body) => fetch(path, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body ?? null),
});

part.form.addEventListener("submit", async (event) => {
  event.preventDefault();
  part.ask.disabled = true;
  try {
    const response = await post("chats", { question: part.input.value });
    if (response.ok) part.input.value = "";
    else part.status.textContent = (await response.json()).error.message;
  } catch {
    part.status.textContent = "The page's own server cannot be reached.";
  } finally {
    part.ask.disabled = false;
  }
});

part.stop.addEventListener("click", () => post(`chats/${shown}/stop`));

function show(chat) {
  shown = chat.number;
  let pieces = 0;
  part.question.textContent = chat.question;
  for (const name of ["reasoning", "answer", "tokens"]) part[name].textContent = "";
  part.status.textContent = "Waiting …";
  part.stop.disabled = false;

  return new Promise((resolve) => {
    const source = new EventSource(`chats/${chat.number}/events`);
    const finish = (status) => {
      source.close();  // or the browser would connect again
      part.stop.disabled = true;
      part.status.textContent = status;
      resolve();
    };
    const say = (event) => {
      const { text, reasoning } = JSON.parse(event.data);
      part.answer.append(text);  // as text, never as HTML
      part.reasoning.append(reasoning);
      pieces += 1;
      part.tokens.textContent = `about ${pieces} tokens`;
      part.status.textContent = "Answering …";
    };
    source.addEventListener("AnswerDelta", say);
    source.addEventListener("FastAnswer", say);
    source.addEventListener("NodeStatus", (event) => {
      part.status.textContent = `${JSON.parse(event.data).node_name} …`;
    });
    source.addEventListener("end", (event) => {
      const { status, usage, total } = JSON.parse(event.data);
      if (usage) part.tokens.textContent = `${usage.input_tokens} + ${usage.output_tokens} tokens`;
      finish(status === "stopped" ? "Stopped." : `Complete after ${total.toFixed(1)} s.`);
    });
    // The server's event has data; the browser's own, when the connection is lost, has none.
    source.addEventListener("error", (event) => {
      if (event.data) finish(JSON.parse(event.data).message);
      else if (source.readyState === EventSource.CLOSED) finish("The reply is gone.");
    });
  });
}

(async () => {
  for (;;) {
    try {
      const response = await fetch(`chats/after/${shown}`);
      if (response.status === 200) await show(await response.json());
      else if (response.status !== 204) throw new Error(response.statusText);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
})();
