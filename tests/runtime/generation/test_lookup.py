from itertools import pairwise

import numpy as np
import pytest

from onnxtasks.generation.lookup import BORDER, Proposer, latest_match
from onnxtasks.generation.loop import generate
from onnxtasks.generation.options import Settings
from onnxtasks.generation.result import NewToken, endings
from tests.runtime.generation.table_reader import TableReader, prompts

WORDS = 12


def chain_table(*order):
    """Each word of `order` is followed by the next one; any other word by the first."""
    table = np.zeros((WORDS, WORDS), np.float32)
    table[:, order[0]] = 4
    for word, after in pairwise(order):
        table[word] = 0
        table[word, after] = 4
    return table


def run(reader, prompt, *, lookup=None, rules=(), stopping=None, **options):
    settings = Settings(**{"eos_token_id": (11,), "max_new_tokens": 20, **options})
    source = None if lookup is None else prompts(lookup)
    events = generate(
        reader, prompts(prompt), settings, rules=rules, stopping=stopping, lookup=source
    )
    return endings(events)[0][0]


@pytest.mark.parametrize(
    ("tokens", "start", "longest", "end"),
    [
        ([1, 2, 3, 1, 2], 0, 2, 2),
        ([1, 2, 3, 2, 4, 1, 2], 0, 2, 2),  # two tokens found early rather than one found late
        ([1, 2, 3, 2, 4, 1, 2], 0, 1, 4),
        ([1, 2, 5, 1, 2, 6, 1, 2], 0, 2, 5),  # the later of two
        ([5, 2, 3, 1, 2], 0, 2, 2),  # shorter where the longest is not found
        ([1, 2, 3], 0, 2, 0),
        ([2, 7, BORDER, 2], 3, 3, 1),  # only one token of the text's own
        ([4], 0, 2, 0),
    ],
)
def test_latest_match(tokens, start, longest, end):
    assert latest_match(np.array(tokens), start, longest) == end


def test_proposals_do_not_cross_the_border():
    proposer = Proposer(np.array([5, 6, 7]), np.array([1, 5]), most=4, longest=2)
    assert proposer.propose(9).tolist() == [6, 7]
    assert proposer.propose(1).tolist() == [6]
    assert proposer.propose(0).tolist() == []


def test_proposals_follow_what_was_written():
    proposer = Proposer(None, np.array([1, 2, 3]), most=2, longest=2)
    assert proposer.propose(9).tolist() == []
    for token in [1, 2]:
        proposer.append(token)
    assert proposer.propose(9).tolist() == [3, 1]


def test_proposals_adapt():
    proposer = Proposer(None, np.array([1, 2, 1]), most=5, longest=2)
    proposer.learn(5, 2)
    assert proposer.count == 4
    proposer.learn(4, 4)
    assert proposer.count == 5
    for _ in range(9):
        proposer.learn(2, 0)
    assert proposer.count == 1


def test_proposals_pause_when_they_do_not_pay():
    proposer = Proposer(None, np.array([1, 2, 1]), most=4, longest=2)
    tried = 0
    for _ in range(200):
        proposed = len(proposer.propose(9))
        proposer.learn(proposed, 0)
        tried += proposed > 0
    assert 0 < tried < 100
    proposer.learn(4, 4)
    assert len(proposer.propose(9)) > 0


def test_proposer_grows():
    proposer = Proposer(None, np.array([1]), most=2, longest=2)
    for token in range(1000):
        proposer.append(token % 400)
    assert proposer.propose(9).tolist() == [200, 201]


def test_a_copied_source_takes_few_runs():
    reader = TableReader(chain_table(0, 1, 2, 3, 4, 5, 6, 11))
    ending = run(reader, [9], lookup=[0, 1, 2, 3, 4, 5, 6], prompt_lookup_num_tokens=4)
    assert ending.token_ids == (0, 1, 2, 3, 4, 5, 6, 11)
    assert ending.finish_reason == "stop"
    assert reader.calls("chain") == [[0, 1, 2, 3, 4], [5, 6]]
    assert reader.calls("forget") == []


def test_wrong_proposals_are_forgotten():
    reader = TableReader(chain_table(0, 1, 2, 3, 11))
    ending = run(reader, [9], lookup=[0, 1, 7, 8], prompt_lookup_num_tokens=3)
    assert ending.token_ids == (0, 1, 2, 3, 11)
    assert reader.calls("chain") == [[0, 1, 7, 8], [2], [3]]
    assert reader.calls("forget") == [2]


def test_tokens_and_log_probabilities_are_those_of_greedy():
    table = np.random.default_rng(3).normal(size=(WORDS, WORDS)).astype(np.float32) * 3
    for penalised in (
        [],
        [lambda history, scores: scores - 2 * np.eye(WORDS)[history.tokens[:, -2]]],
    ):
        plain, fast = TableReader(table), TableReader(table)
        expected = run(plain, [4, 2], rules=penalised, max_new_tokens=60, eos_token_id=())
        options = {"prompt_lookup_num_tokens": 6, "max_new_tokens": 60, "eos_token_id": ()}
        found = run(fast, [4, 2], rules=penalised, **options)
        assert found.token_ids == expected.token_ids
        np.testing.assert_allclose(found.token_logprobs, expected.token_logprobs, atol=1e-5)
        assert len(fast.log) < len(plain.log)


def test_length_is_not_overrun():
    reader = TableReader(chain_table(0, 1, 2, 3, 4, 5, 6, 11))
    source = [0, 1, 2, 3, 4, 5, 6]
    ending = run(reader, [9], lookup=source, prompt_lookup_num_tokens=9, max_new_tokens=4)
    assert (ending.token_ids, ending.finish_reason) == ((0, 1, 2, 3), "length")
    assert reader.calls("chain") == [[0, 1, 2]]


def test_stopping_rule_is_asked_after_each_token():
    reader = TableReader(chain_table(0, 1, 2, 3, 4, 5, 6, 11))
    ending = run(
        reader,
        [9],
        lookup=[0, 1, 2, 3, 4],
        prompt_lookup_num_tokens=9,
        stopping=lambda history: ["callable" if history.row(0)[-1] == 2 else None],
    )
    assert (ending.token_ids, ending.finish_reason) == ((0, 1, 2), "callable")


def test_tokens_come_one_by_one():
    reader = TableReader(chain_table(0, 1, 2, 11))
    settings = Settings(eos_token_id=(11,), prompt_lookup_num_tokens=3, max_new_tokens=9)
    events = list(generate(reader, prompts([9]), settings, lookup=prompts([0, 1, 2, 11])))
    assert [e.token_id for e in events if isinstance(e, NewToken)] == [0, 1, 2, 11]


def test_several_prompts_are_searched_without():
    reader = TableReader(chain_table(0, 1, 2, 11))
    settings = Settings(eos_token_id=(11,), prompt_lookup_num_tokens=3, max_new_tokens=9)
    found = endings(generate(reader, prompts([9], [1]), settings))
    assert [one[0].token_ids for one in found] == [(0, 1, 2, 11), (2, 11)]
    assert reader.calls("chain") == []
