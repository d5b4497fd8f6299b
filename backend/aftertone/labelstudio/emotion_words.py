"""Words by which a question about emotion is known, in several languages; used where a label config asks several."""

import unicodedata
from collections.abc import Iterable

FEWEST = 2  # choices that must be emotion words, where the question's name is none


def plain(text: str) -> str:
    """Text in lower case without accents, so that spellings compare."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


IN_NAMES = tuple(
    plain(stem)
    for stem in (
        *("emotion", "emotive", "affect", "mood", "feeling", "sentiment"),  # English; also in fr, de, and others
        *("gefühl", "stimmung", "affekt"),  # German
        *("humeur", "ressenti"),  # French
        *("emoci", "sentimiento", "ánimo", "emoç", "sentimento", "emozion", "umore"),  # Spanish, Portuguese, Italian
        *("emotie", "gevoel", "känsl", "følels", "tunnetila"),  # Dutch, Swedish, Danish and Norwegian, Finnish
        *("emocj", "uczuci", "nastrój", "emoce", "эмоци", "чувств", "настроен", "емоці"),  # Slavic languages
        *("duygu", "emosi", "perasaan", "cảm xúc"),  # Turkish, Indonesian, Vietnamese
        *("情感", "情绪", "情緒", "心情", "感情", "気分", "감정", "기분"),  # Chinese, Japanese, Korean
        *("भावना", "مشاعر", "عاطف", "احساس", "συναίσθημα", "רגש"),  # Hindi, Arabic, Persian, Greek, Hebrew
    )
)
"""What the name of a question about emotion contains."""

WORDS = frozenset(
    plain(word)
    for line in (
        "neutral calm happy happiness joy joyful sad sadness angry anger fear fearful afraid scared disgust disgusted",
        "surprise surprised contempt bored boredom excited excitement frustrated frustration anxious anxiety amused",
        "relaxed love hate pride proud shame ashamed guilt jealous relief relieved enthusiastic irritated annoyed",
        "neu hap ang fea dis sur exc fru",  # as IEMOCAP and CREMA-D write them
        "ruhig fröhlich glücklich freude traurig trauer wütend wut ärger zorn angst ekel überraschung verachtung",
        "neutre calme heureux joyeux joie triste tristesse colère peur dégoût ennui mépris",
        "tranquilo feliz alegre alegría felicidad tristeza enfado enojo ira miedo asco sorpresa aburrimiento",
        "neutro calmo alegria raiva medo nojo tédio felice gioia rabbia paura disgusto sorpresa noia",
        "neutraal blij boos verdrietig bang walging neutralny radość smutek złość strach wstręt",
        "нейтрально нейтральный радость счастье грусть печаль злость гнев страх отвращение удивление",
        "nötr mutlu üzgün sinirli korku öfke senang sedih marah takut vui buồn",
        "中性 平静 高兴 开心 快乐 悲伤 难过 生气 愤怒 害怕 恐惧 厌恶 惊讶 高興 悲傷 憤怒",
        "喜び 悲しみ 怒り 恐れ 嫌悪 驚き",
        "중립 기쁨 행복 슬픔 분노 공포 혐오 놀람 खुश दुखी गुस्सा डर सामान्य سعيد حزين غاضب خائف محايد",
    )
    for word in line.split()
)
"""Names of emotions as choices."""


def named_after_emotion(name: str) -> bool:
    """Whether a question's name speaks of emotion."""
    found = plain(name)
    return found == "emo" or any(stem in found for stem in IN_NAMES)


def offers_emotions(choices: Iterable[str]) -> bool:
    """Whether at least two of a question's choices are emotions."""
    return sum(any(word in WORDS for word in _words(plain(choice))) for choice in choices) >= FEWEST


def _words(text: str) -> list[str]:
    return "".join(letter if unicodedata.category(letter)[0] in "LM" else " " for letter in text).split()
