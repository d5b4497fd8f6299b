"""The joint outcomes of the labels of several clips, and what each outcome would say about the MC samples."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 4_000_000  # float32 values per working array: two of 16 MB, whatever the pool's size
SMALLEST = 1e-30  # probabilities are raised to this before a logarithm; p log p is 0 there in float32


class JointOutcomes:
    """Outcomes y_S of the labels of the clips S added so far, with the posterior p(k | y_S) over the K MC samples.

    All C^|S| outcomes as long as these are at most `most`; from then on `most` outcomes sampled from their own
    distribution, the same number given each MC sample. An outcome keeps log p(y_S | k), in float64, and everything is
    computed from the normalised posterior, so that the product of many probabilities can't underflow.
    """

    def __init__(self, samples: int, most: int, rng: np.random.Generator) -> None:
        """`samples` is K; `most` bounds the number of outcomes held (at least one per MC sample)."""
        self.most = most
        self.draws = max(1, most // samples)  # sampled outcomes per MC sample
        self.rng = rng
        self.exact = True
        self.added: list[NDArray[np.float64]] = []  # (K, C) each
        self.log_likelihoods = np.zeros((1, samples))  # (M, K)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(M,) probability of each outcome, summing to 1: mean_k p(y_S | k), or equal where outcomes are sampled."""
        if self.exact:
            return np.exp(self.log_likelihoods).mean(axis=1)
        return np.full(len(self.log_likelihoods), 1 / len(self.log_likelihoods))

    def add(self, probabilities: NDArray[np.floating]) -> None:
        """Adds a clip to S. (K, C), its class probabilities under each MC sample."""
        probabilities = np.asarray(probabilities, dtype=np.float64)
        samples, classes = probabilities.shape
        self.added.append(probabilities)
        if self.exact and len(self.log_likelihoods) * classes <= self.most:
            grown = self.log_likelihoods[:, None, :] + _log(probabilities).T  # (M, C, K)
            self.log_likelihoods = grown.reshape(-1, samples)
            return
        if self.exact:
            self.exact = False
            self.log_likelihoods = np.zeros((samples * self.draws, samples))
            fresh = self.added
        else:
            fresh = self.added[-1:]
        for clip in fresh:
            self.log_likelihoods += _log(clip).T[self._draw(clip)]

    def entropies(self, candidates: NDArray[np.floating]) -> NDArray[np.float64]:
        """H(y_n | y_S), mean over outcomes of the entropy of each candidate's label, in nats. (N, K, C) -> (N,).

        H(y_S, y_n) = H(y_S) + H(y_n | y_S), so this orders candidates as the joint entropy does.
        """
        import torch  # takes seconds, which the list of strategies needn't

        posterior = torch.softmax(torch.from_numpy(self.log_likelihoods), dim=1).float().T.contiguous()  # (K, M)
        weights = torch.from_numpy(self.weights).float()  # (M,)
        samples, outcomes = posterior.shape
        classes = candidates.shape[-1]
        rows = max(1, BLOCK // (outcomes * classes))
        chances = torch.empty(rows * classes, outcomes)
        logs = torch.empty_like(chances)
        entropies = np.empty(len(candidates))
        for start in range(0, len(candidates), rows):
            block = np.asarray(candidates[start : start + rows], dtype=np.float32)  # (n, K, C)
            by_class = np.maximum(block.transpose(0, 2, 1).reshape(-1, samples), SMALLEST)  # (n C, K)
            used = len(by_class)
            torch.mm(torch.from_numpy(by_class), posterior, out=chances[:used])  # p(y_n = c | outcome), (n C, M)
            torch.log(chances[:used], out=logs[:used])
            surprise = logs[:used].mul_(chances[:used]) @ weights  # (n C,)
            entropies[start : start + rows] = -surprise.view(-1, classes).sum(dim=1).numpy()
        return entropies

    def _draw(self, probabilities: NDArray[np.float64]) -> NDArray[np.intp]:
        """(K draws,) labels of one clip: `draws` of them from each MC sample's own distribution."""
        edges = probabilities.cumsum(axis=1)[:, None, :-1]  # (K, 1, C - 1)
        uniforms = self.rng.random((len(probabilities), self.draws))
        return (uniforms[:, :, None] >= edges).sum(axis=2).ravel()


def _log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
