"""What must not have happened and did."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Violations:
    """Sentences, each told once. Usable from several threads."""

    say: Callable[[str], None]
    found: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, sentence: str) -> None:
        """Note a violation and say so at once."""
        with self._lock:
            if sentence in self.found:
                return
            self.found.append(sentence)
        self.say(f"{time.strftime('%H:%M:%S')}  VIOLATION  {sentence}")
