"""One name for each key, whatever system, layout or recorder it was heard on.

Names are those of pynput's `str(key)` (`Key.space`, `Key.shift`, `f`), made canonical:

- quotes and blanks around it are taken off, letters are small and composed (Unicode NFC); a dead key (`['´']`) is its
  character;
- with Ctrl held a letter is heard as a control character: it is that letter again (ASCII: code 1 is A);
- the left Ctrl, Shift, Alt and Cmd have one name (`Key.ctrl`; Windows says `Key.ctrl_l`), AltGr is `Key.alt_r`;
- the keys of the number pad are `Numpad.0` to `Numpad.9`, `Numpad.add`, ...: an X server numbers them by keysym
  (another one while NumLock is off), Windows by virtual key.

Other numbers (`<173>`) stay: below MOST_VIRTUAL_KEYS one is a virtual key of Windows or macOS (where those of the
number pad are other keys than under Windows, so they stay too), above a keysym of X11.
"""

import ast
import re
import unicodedata

MOST_VIRTUAL_KEYS = 256
ALIASES = {
    **{f"Key.{name}_l": f"Key.{name}" for name in ("ctrl", "shift", "alt", "cmd")},
    "Key.alt_gr": "Key.alt_r",
    "<65027>": "Key.alt_r",  # ISO_Level3_Shift
    "<65406>": "Key.alt_r",  # Mode_switch
}
NUMPAD = (*"0123456789", "multiply", "add", "separator", "subtract", "decimal", "divide", "enter")
# X11/keysymdef.h; Microsoft, "Virtual-Key Codes"; Apple, HIToolbox/Events.h.
KEYSYMS = dict(zip(NUMPAD, (*range(65456, 65466), 65450, 65451, 65452, 65453, 65454, 65455, 65421), strict=True))
WITHOUT_NUMLOCK = dict(
    zip(NUMPAD, (65438, 65436, 65433, 65435, 65430, 65437, 65432, 65429, 65431, 65434), strict=False)
)
WINDOWS = dict(zip(NUMPAD, range(96, 112), strict=False))
MACOS = {
    **dict(zip(NUMPAD, (82, 83, 84, 85, 86, 87, 88, 89, 91, 92), strict=False)),
    **{"multiply": 67, "add": 69, "subtract": 78, "decimal": 65, "divide": 75, "enter": 76},
}
_NUMPAD_OF = {
    f"<{number}>": f"Numpad.{name}" for table in (WINDOWS, WITHOUT_NUMLOCK, KEYSYMS) for name, number in table.items()
}
_OWN_KEYS = "\b\t\n\r\x1b"  # Backspace, Tab, Enter, Esc, or a letter with Ctrl: nobody knows
# Keysyms ISO_Next_Group and the like: Shift or Alt while another layout is chosen.
LAYOUT_SWITCHES = range(65032, 65039)
PREFIXES = r"^(arrow|key_?|k_|vk_)"  # of the names that browsers, Linux, pygame and Windows give


def key_name(raw: str) -> str:
    """The canonical name of a key: `"'f'"`, `"F"`, `"\\x06"` are `"f"`, `"Key.ctrl_l"` is `"Key.ctrl"`."""
    name = _unquoted(raw.strip() or raw)
    if len(name) >= 3 and name[0] == "[" and name[-1] == "]":
        name = _unquoted(name[1:-1])
    name = unicodedata.normalize("NFC", name)
    if len(name) == 1:
        return _character(name)
    if re.fullmatch(r"(?i)(key|button|numpad)\.\w+", name):
        kind, _, rest = name.partition(".")
        name = f"{kind.capitalize()}.{rest.lower()}"
    return _NUMPAD_OF.get(name) or ALIASES.get(name, name)


def _unquoted(raw: str) -> str:
    """Without the quotes of Python's repr."""
    if len(raw) < 3 or raw[0] != raw[-1] or raw[0] not in "'\"":
        return raw
    try:
        inner = ast.literal_eval(raw)
    except (ValueError, SyntaxError):
        inner = raw[1:-1]
    return inner if isinstance(inner, str) and inner else raw


def _character(name: str) -> str:
    if name == " ":
        return "Key.space"
    if "\x01" <= name <= "\x1a" and name not in _OWN_KEYS:
        return chr(ord(name) + 96)
    if "\x1c" <= name <= "\x1f":
        return chr(ord(name) + 64)
    if not name.isprintable():
        return repr(name)
    return name.lower() if len(name.lower()) == 1 else name


def number_of(name: str, platform: str) -> int | None:
    """The number by which a key that has no other name is pressed under `platform` (sys.platform), None for others.

    ValueError for a number of another system: there it would be another key.
    """
    is_x11 = platform.startswith("linux")
    if name.startswith("Numpad."):
        # Without NumLock the keysyms are those of the keys alone; with it, those of the keys with a modifier.
        table = KEYSYMS | WITHOUT_NUMLOCK if is_x11 else MACOS if platform == "darwin" else WINDOWS
        if (number := table.get(name.removeprefix("Numpad."))) is None:
            raise ValueError(f"{name!r} is no key of the number pad here; there are {', '.join(table)}")
        return number
    if not re.fullmatch(r"<\d+>", name):
        return None
    number = int(name[1:-1])
    if is_x11 == (number < MOST_VIRTUAL_KEYS):
        raise ValueError(f"{name!r}{hint(name)}, not of this one; record the keys on the system where they are pressed")
    return number


def hint(key: str) -> str:
    """What an unmapped key may be, as the end of a sentence; empty where nothing is known."""
    number = int(key[1:-1]) if re.fullmatch(r"<\d+>", key) else None
    if number in LAYOUT_SWITCHES:
        return ": Shift or Alt, renamed where it also switches the keyboard's layout; switch that off while you record"
    if number is not None:
        system = "Windows or macOS" if number < MOST_VIRTUAL_KEYS else "X11"
        return f": a number of {system} for a key that has no name there"
    if key.startswith("Numpad."):
        return ": the number pad; name it so under keys, or switch NumLock"
    if len(key) > 1 and "." not in key:
        return f": is it Key.{re.sub(PREFIXES, '', key.lower())}?"
    if len(key) == 1 and not key.isalnum():
        return ": the same key under another name, with Shift held or in another layout?"
    return ": the same key in another layout?" if len(key) == 1 and not key.isascii() else ""
