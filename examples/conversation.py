"""Hold a conversation: answer what the workflow asks, and stop an answer that is too long."""

import os

import anyio
import anyio.to_thread

from fastgpt_client import AsyncChatClient, Interactive, InvalidArgumentError, Message

ENOUGH = 200


async def typed(prompt: str) -> str:
    return await anyio.to_thread.run_sync(input, prompt)


async def filled_in(question: Interactive) -> dict[str, str | int]:
    values: dict[str, str | int] = {}
    for field in question.fields:
        text = await typed(f"{field.label}: ")
        if text:
            is_number = field.type == "numberInput" and text.isdecimal()
            values[field.key] = int(text) if is_number else text
    return values


async def answer_to(question: Interactive) -> Message:
    """Ask the user until the answer is one: the server itself would take any."""
    print(question.description)
    for option in question.options:
        print(f"  {option.key}: {option.value}")
    is_form = question.kind == "userInput"
    while True:
        given = await (filled_in(question) if is_form else typed("> "))
        try:
            return question.answer(given)
        except InvalidArgumentError as error:
            print(error)


async def main() -> None:
    app_id = os.environ.get("FASTGPT_APP_ID")
    async with AsyncChatClient(api="v2", app_id=app_id) as client:
        conversation = client.conversation()
        message: str | Message = await typed("you: ")
        while True:
            shown = 0
            async with conversation.stream(message) as reply:
                async for event in reply:
                    print(event.text, end="", flush=True)
                    shown += len(event.text)
                    if shown > ENOUGH:
                        print(" … that is enough:", await reply.stop(), end="")
                        break
            print()
            if conversation.pending is None:
                break
            message = await answer_to(conversation.pending)
        if app_id is not None:
            for record in await conversation.history():
                print(f"{record.role}: {record.text[:40]}")


if __name__ == "__main__":
    anyio.run(main)
