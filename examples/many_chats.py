"""Hold many chats: a few at a time, what came by a deadline, and a race."""

import os

import anyio

from fastgpt_client import Answer, AsyncChatClient, FastGPTError, Reply

QUESTIONS = [f"What is {number} times {number}?" for number in range(1, 7)]


async def a_few_at_a_time(
    client: AsyncChatClient, questions: list[str]
) -> list[Answer | Exception]:
    places = anyio.CapacityLimiter(3)

    async def ask(question: str) -> Answer | Exception:
        async with places:
            try:
                return await client.ask(question)
            except FastGPTError as error:
                return error  # if it were raised, it would cancel all the others

    return await anyio.amap(ask, questions)


async def what_came_in_time(
    client: AsyncChatClient, questions: list[str], seconds: float
) -> dict[str, Reply]:
    replies: dict[str, Reply] = {}

    async def listen(question: str) -> None:
        async with client.stream(question) as replies[question]:
            await replies[question].final()

    # Leaving a block stops its model; the text so far can still be read after it.
    with anyio.move_on_after(seconds):
        await anyio.amap(listen, questions)
    return replies


async def first_of(clients: list[AsyncChatClient], question: str) -> Answer:
    async def ask(client: AsyncChatClient) -> Answer | FastGPTError:
        try:
            return await client.ask(question)
        except FastGPTError as error:
            return error

    errors = []
    async with anyio.as_completed(*map(ask, clients)) as finished:
        async for task in finished:
            if isinstance(task.return_value, Answer):
                return task.return_value  # the block cancels the others, which stops their models
            errors.append(task.return_value)
    raise ExceptionGroup("no app answered", errors)


async def main() -> None:
    other_key = os.environ.get("FASTGPT_OTHER_API_KEY")
    async with AsyncChatClient() as client, AsyncChatClient(other_key) as other:
        for question, result in zip(
            QUESTIONS, await a_few_at_a_time(client, QUESTIONS), strict=True
        ):
            print(f"{question} {result}")

        replies = await what_came_in_time(client, QUESTIONS[:3], seconds=1)
        for question, reply in replies.items():
            print(f"{question} {reply.text} ({reply.status})")

        print("first:", await first_of([client, other], QUESTIONS[0]))


if __name__ == "__main__":
    anyio.run(main)
