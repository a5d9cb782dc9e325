"""The state first, then everything after it, once and in order: to many who come, go, sleep and fail."""

from __future__ import annotations

import asyncio
import random

import pytest

from dlm_lsp.runs import channel as channels
from dlm_lsp.runs.channel import Channel, Subscription, Told


class Sum:
    """A state that everybody can follow: the numbers that were told so far."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.states = 0
        self.channel = Channel(self.state)

    def state(self) -> list[str]:
        self.states += 1
        return [f'{{"all":{self.told}}}']

    def tell(self, number: int) -> None:
        self.told.append(number)
        self.channel.tell(f'{{"one":{number}}}')


async def hear(subscription: Subscription, count: int) -> list[Told]:
    return [told for _ in range(count) if (told := await asyncio.wait_for(subscription.next(), 5)) is not None]


async def test_a_state_stands_for_everything_before_it() -> None:
    numbers = Sum()
    numbers.tell(1)
    subscription = numbers.channel.subscribe()
    numbers.tell(2)  # before the state was taken: it is in it, and not told again
    numbers.tell(3)
    (state,) = await hear(subscription, 1)
    numbers.tell(4)
    (live,) = await hear(subscription, 1)
    assert (state.text, state.sequence) == ('{"all":[1, 2, 3]}', 3)
    assert (live.text, live.sequence) == ('{"one":4}', 4)


async def test_who_comes_back_hears_only_what_followed() -> None:
    numbers = Sum()
    first = numbers.channel.subscribe()
    (state,) = await hear(first, 1)
    numbers.tell(1)
    numbers.tell(2)
    heard = await hear(first, 1)
    first.close()
    numbers.tell(3)
    again = numbers.channel.subscribe(heard[-1].place)
    assert [told.text for told in await hear(again, 2)] == ['{"one":2}', '{"one":3}']
    assert [told.sequence for told in await hear(numbers.channel.subscribe(state.place), 3)] == [1, 2, 3]
    nothing = numbers.channel.subscribe(f"{numbers.channel.name}-3")
    nothing.wake()
    assert await nothing.next() is None


@pytest.mark.parametrize("place", ["", "x", "-", "1-1", "{name}-99", "{name}--1", "{name}-", "{name}-9" + "9" * 40])
async def test_a_place_that_is_not_ours_begins_with_the_state(place: str) -> None:
    numbers = Sum()
    numbers.tell(1)
    (told,) = await hear(numbers.channel.subscribe(place.replace("{name}", numbers.channel.name)), 1)
    assert told.text == '{"all":[1]}'


async def test_who_was_away_for_too_long_begins_with_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MOST_KEPT", 4)
    numbers = Sum()
    (begin,) = await hear(numbers.channel.subscribe(), 1)
    for number in range(6):
        numbers.tell(number)
    (told,) = await hear(numbers.channel.subscribe(begin.place), 1)
    assert told.text == f'{{"all":{numbers.told}}}'


async def test_a_sleeper_costs_nobody_anything_and_wakes_to_a_fresh_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "MOST_BYTES", 200)
    numbers = Sum()
    sleeper, awake = numbers.channel.subscribe(), numbers.channel.subscribe()
    await hear(sleeper, 1)
    await hear(awake, 1)
    for number in range(1000):
        numbers.tell(number)
        assert [told.text for told in await hear(awake, 1)] == [f'{{"one":{number}}}']
        assert len(sleeper._waiting) < 50
    assert numbers.states == 2  # the sleeper's is made when it wakes
    (state,) = await hear(sleeper, 1)
    assert (state.text, state.sequence) == (f'{{"all":{numbers.told}}}', 1000)
    numbers.tell(1000)
    assert [told.sequence for told in await hear(sleeper, 1)] == [1001]


async def test_the_end_comes_after_what_was_told() -> None:
    numbers = Sum()
    subscription = numbers.channel.subscribe()
    await hear(subscription, 1)
    numbers.tell(1)
    numbers.channel.close()
    assert [told.text for told in await hear(subscription, 1)] == ['{"one":1}']
    with pytest.raises(EOFError):
        await subscription.next()
    assert not numbers.channel.heard


async def test_in_any_order_everybody_knows_exactly_what_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tells, comes, goes, returns and sleeps at random: each listener's picture is that of the truth, always."""
    monkeypatch.setattr(channels, "MOST_KEPT", 5)
    for seed in range(200):
        chance, numbers = random.Random(seed), Sum()
        listeners: list[tuple[Subscription, list[int], list[str]]] = []
        for step in range(60):
            match chance.randrange(5):
                case 0 | 1:
                    numbers.tell(step)
                case 2:
                    listeners.append((numbers.channel.subscribe(), [], [""]))
                case 3 if listeners:
                    subscription, known, place = chance.choice(listeners)
                    subscription.wake()
                    take(await subscription.next(), known, place)
                case 4 if listeners:
                    index = chance.randrange(len(listeners))
                    subscription, known, place = listeners[index]
                    subscription.close()
                    listeners[index] = (numbers.channel.subscribe(place[0]), known, place)
        for subscription, known, place in listeners:
            while True:
                subscription.wake()
                if (told := await subscription.next()) is None:
                    break
                take(told, known, place)
            assert known == numbers.told


def take(told: Told | None, known: list[int], place: list[str]) -> None:
    if told is None:
        return
    text = told.text
    if text.startswith('{"all"'):
        known[:] = [int(each) for each in text[8:-2].split(",") if each.strip()]
    else:
        known.append(int(text[7:-1]))
        assert len(known) == told.sequence
    place[0] = told.place
