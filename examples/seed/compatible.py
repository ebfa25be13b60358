"""Read lines, as programs of the original SDK do: nothing has to change for this package."""

import json

from fastgpt_client import ChatClient, FastGPTError


def main() -> None:
    with ChatClient() as client:
        response = client.create_chat_completion(
            messages=[{"role": "user", "content": "Tell me a short story"}], stream=True
        )
        try:
            for line in response.iter_lines():
                data = line.removeprefix("data:").strip()
                if line.startswith("data:") and data != "[DONE]":
                    chunk = json.loads(data)
                    delta = chunk["choices"][0]["delta"]
                    print(delta.get("content") or "", end="", flush=True)
            print()
        except FastGPTError as error:
            # After the last line, for a wrong key, an error event or a cut stream.
            print(f"\nError: {error}")


if __name__ == "__main__":
    main()
