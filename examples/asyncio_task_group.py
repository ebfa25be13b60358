"""Hold several chats at once in an asyncio program."""

import asyncio

from fastgpt_client import Answer, AsyncChatClient

QUESTIONS = ("What is a task group?", "What is a cancel scope?", "What is an event loop?")


async def main() -> None:
    async with (
        AsyncChatClient() as client,
        asyncio.timeout(60),
        asyncio.TaskGroup() as group,
    ):
        tasks: list[asyncio.Task[Answer]] = [
            group.create_task(client.ask(question)) for question in QUESTIONS
        ]
    for question, task in zip(QUESTIONS, tasks, strict=True):
        print(f"{question}\n  {task.result().text}")


if __name__ == "__main__":
    asyncio.run(main())
