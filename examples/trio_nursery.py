"""Hold several chats at once in a trio program."""

import trio

from fastgpt_client import AsyncChatClient, FastGPTError

QUESTIONS = ("What is a nursery?", "What is a cancel scope?", "What is a checkpoint?")


async def chat(client: AsyncChatClient, question: str) -> None:
    try:
        answer = await client.ask(question)
    except FastGPTError as error:
        print(f"{question}\n  failed: {error}")
    else:
        print(f"{question}\n  {answer.text}")


async def main() -> None:
    # Whatever happens inside, nothing of it is running after 60 seconds.
    with trio.fail_after(60):
        async with AsyncChatClient() as client, trio.open_nursery() as nursery:
            for question in QUESTIONS:
                nursery.start_soon(chat, client, question)


if __name__ == "__main__":
    trio.run(main)
