"""A box on the market, as strict as they come: written from the rules of the field, and from none of our declarations.

It follows PAT, PMT, DSI and DII to the modules of one carousel, with room for eight of at most 256 blocks of at most
4016 bytes, and gives up on anything that is not exactly as it should be.
"""

from dataclasses import dataclass, field

import crcmod.predefined

CRC = crcmod.predefined.mkCrcFun("crc-32-mpeg")
PACKET = 188
ROOM_MODULES, ROOM_BLOCKS, ROOM_BLOCK_BYTES = 8, 256, 4016


class Refused(Exception):
    """The loader would not take this stream, and why."""


def need(condition: bool, why: str) -> None:
    if not condition:
        raise Refused(why)


def number(raw: bytes, at: int, size: int) -> int:
    need(at + size <= len(raw), "a field runs over the end")
    return int.from_bytes(raw[at : at + size], "big")


@dataclass
class Sections:
    """Cuts one PID's packets into sections; continuity must be unbroken."""

    continuity: int | None = None
    unfinished: bytes = b""

    def take(self, packet: bytes) -> list[bytes]:
        need(packet[0] == 0x47, "a packet without its sync byte")
        need(packet[1] & 0x80 == 0 and packet[3] & 0xC0 == 0, "an error bit, or scrambled")
        if packet[3] & 0x10 == 0:
            return []
        counter = packet[3] & 0xF
        need(self.continuity is None or counter == (self.continuity + 1) % 16, "continuity is broken")
        self.continuity = counter
        start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        payload = packet[start:]
        if packet[1] & 0x40:
            pointer = payload[0]
            need(pointer == 0, "a section that does not begin its packet")
            need(not self.unfinished, "a section begins before the last one is whole")
            self.unfinished = payload[1:]
        elif self.unfinished:
            self.unfinished += payload
        else:
            need(set(payload) <= {0xFF}, "payload that belongs to no section")
            return []
        length = 3 + (number(self.unfinished, 1, 2) & 0xFFF)
        if len(self.unfinished) < length:
            return []
        section, rest, self.unfinished = self.unfinished[:length], self.unfinished[length:], b""
        need(set(rest) <= {0xFF}, "no stuffing behind a section")
        need(CRC(section) == 0, "a section with a wrong CRC")
        need(section[1] & 0x80 != 0 and section[5] & 1 == 1, "a section of the short form, or not yet current")
        return [section]


def descriptors(loop: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(loop):
        size = number(loop, at + 1, 1)
        need(at + 2 + size <= len(loop), "a descriptor runs over its loop")
        found[loop[at]] = loop[at + 2 : at + 2 + size]
        at += 2 + size
    return found


@dataclass
class Wanted:
    """One module, as the DII describes it."""

    size: int
    version: int
    crc: int
    blocks: dict[int, bytes] = field(default_factory=dict)


class StrictLoader:
    """Loads the image for one hardware off one stream. `image` is None until all of it is there."""

    def __init__(self, oui: int, model: int, hardware_version: int, software_version: int) -> None:
        self.me = (oui, model, hardware_version)
        self.software_version = software_version
        self.image: bytes | None = None
        self.update_version: int | None = None
        self._pids: dict[int, Sections] = {0: Sections()}
        self._pmt_pid = self._carousel_pid = -1
        self._group: tuple[int, int] | None = None
        self._block_size = 0
        self._modules: dict[int, Wanted] = {}

    def load(self, stream: bytes) -> bytes | None:
        """Take a whole stream; return the image, or None if it is not complete."""
        need(len(stream) % PACKET == 0, "no whole packets")
        for at in range(0, len(stream), PACKET):
            packet = stream[at : at + PACKET]
            pid = number(packet, 1, 2) & 0x1FFF
            for section in self._pids[pid].take(packet) if pid in self._pids else []:
                self._section(pid, section)
                if self.image is not None:
                    return self.image
        return None

    def _section(self, pid: int, section: bytes) -> None:
        table = section[0]
        if pid == 0:
            need(table == 0, "no PAT on PID 0")
            programs = section[8:-4]
            entries = [(number(programs, at, 2), number(programs, at + 2, 2)) for at in range(0, len(programs), 4)]
            self._pmt_pid = next(where & 0x1FFF for program, where in entries if program)
            self._pids.setdefault(self._pmt_pid, Sections())
        elif pid == self._pmt_pid:
            need(table == 2, "no PMT on its PID")
            self._pmt(section[8:-4])
        elif table == 0x3B:
            self._message(section)
        else:
            need(table == 0x3C, "neither messages nor blocks on the carousel's PID")
            self._block(section)

    def _pmt(self, body: bytes) -> None:
        at = 4 + (number(body, 2, 2) & 0xFFF)
        while at < len(body):
            kind, pid, size = body[at], number(body, at + 1, 2) & 0x1FFF, number(body, at + 3, 2) & 0xFFF
            tags = descriptors(body[at + 5 : at + 5 + size])
            at += 5 + size
            if kind != 0x0B or 0x66 not in tags or number(tags[0x66], 0, 2) != 0x000A:
                continue
            need(0x52 in tags, "a carousel without a component tag")
            info = tags[0x66]
            oui, update_type = number(info, 3, 3), info[6] & 0xF
            if oui == self.me[0] and update_type == 1:
                need(info[2] == len(info) - 3, "OUI_data_length is wrong")
                need(info[7] & 0x20 != 0, "no update_version")
                self.update_version = info[7] & 0x1F
                self._carousel_pid = pid
                self._pids.setdefault(pid, Sections())

    def _message(self, section: bytes) -> None:
        need(section[8:10] == b"\x11\x03", "no DSM-CC download message")
        kind, transaction = number(section, 10, 2), number(section, 12, 4)
        need(section[17] == 0, "an adaptation header")
        need(number(section, 18, 2) == len(section) - 24, "message_length is wrong")
        need(number(section, 3, 2) == transaction & 0xFFFF, "table_id_extension is not the transaction's low half")
        need(
            section[5] >> 1 & 0x1F == 0 and section[6] == section[7] == 0,
            "a message section of a version, or of several",
        )
        need(transaction >> 30 == 0b10, "a transaction that the network did not begin")
        message = section[20:-4]
        if kind == 0x1006:
            need(transaction >> 1 & 0x7FFF == 0, "a DSI with an identification")
            self._dsi(message)
        else:
            need(kind == 0x1002, "neither DSI nor DII")
            need(transaction >> 1 & 0x7FFF != 0, "a DII without an identification")
            self._dii(transaction, message)

    def _dsi(self, message: bytes) -> None:
        need(message[:20] == b"\xff" * 20, "server_id")
        need(number(message, 20, 2) == 0, "a compatibility descriptor in the DSI")
        info = message[24 : 24 + number(message, 22, 2)]
        need(len(info) == len(message) - 24, "privateDataLength is wrong")
        need(number(info, 0, 2) == 1, "not one group")
        group, group_size = number(info, 2, 4), number(info, 6, 4)
        compatibility = info[12 : 12 + number(info, 10, 2)]
        count, at, devices = number(compatibility, 0, 2), 2, {}
        for _ in range(count):
            need(compatibility[at + 1] == 9 and compatibility[at + 2] == 1, "no OUI in a compatibility descriptor")
            devices[compatibility[at]] = tuple(
                number(compatibility, at + begin, n) for begin, n in ((3, 3), (6, 2), (8, 2))
            )
            at += 2 + compatibility[at + 1]
        need(at == len(compatibility), "compatibilityDescriptorLength is wrong")
        need({1, 2} <= set(devices), "not both a hardware and a software descriptor")
        if devices[1] == self.me and devices[2][2] > self.software_version:
            self._group = group, group_size

    def _dii(self, transaction: int, message: bytes) -> None:
        if self._group is None or self._group[0] != transaction or self._modules:
            return
        need(number(message, 0, 4) == transaction, "downloadId is not the group's")
        self._block_size = number(message, 4, 2)
        need(self._block_size <= ROOM_BLOCK_BYTES, "blocks too large")
        need(message[6:16] == bytes(10) and number(message, 16, 2) == 0, "windows, or a compatibility descriptor")
        count, at = number(message, 18, 2), 20
        need(count <= ROOM_MODULES, f"{count} modules")
        for _ in range(count):
            module, size, version = number(message, at, 2), number(message, at + 2, 4), message[at + 6]
            tags = descriptors(message[at + 8 : at + 8 + message[at + 7]])
            at += 8 + message[at + 7]
            need(module >> 8 == transaction & 0xFF, "a moduleId of another group")
            need(module < 0xFFF0, "a reserved moduleId")
            need(-(-size // self._block_size) <= ROOM_BLOCKS, "more than 256 blocks")
            self._modules[module] = Wanted(size, version, number(tags[5], 0, 4))
        need(number(message, at, 2) == 0 and at + 2 == len(message), "private data in the DII")
        need(sum(module.size for module in self._modules.values()) == self._group[1], "groupSize is wrong")

    def _block(self, section: bytes) -> None:
        need(section[8:10] == b"\x11\x03" and number(section, 10, 2) == 0x1003, "no DDB")
        if self._group is None or number(section, 12, 4) != self._group[0] or not self._modules:
            return
        module_id, version, block = number(section, 20, 2), section[22], number(section, 24, 2)
        module = self._modules.get(module_id)
        need(module is not None, "a block of a module that the DII does not name")
        assert module is not None
        blocks = -(-module.size // self._block_size)
        need(version == module.version and section[5] >> 1 & 0x1F == version % 32, "another module version")
        need(number(section, 3, 2) == module_id, "table_id_extension is not the moduleId")
        need(block < blocks and section[6] == block & 0xFF, "section_number is not the block's")
        need(section[7] == (blocks - 1) & 0xFF, "last_section_number is not the last block's")
        need(number(section, 18, 2) == len(section) - 24, "message_length is wrong")
        data = section[26:-4]
        last_size = module.size - (blocks - 1) * self._block_size
        need(len(data) == (last_size if block == blocks - 1 else self._block_size), "a block of the wrong size")
        need(module.blocks.setdefault(block, data) == data, "a block that changed")
        if all(len(each.blocks) == -(-each.size // self._block_size) for each in self._modules.values()):
            self._finish()

    def _finish(self) -> None:
        whole = []
        for _, module in sorted(self._modules.items()):
            content = b"".join(module.blocks[block] for block in sorted(module.blocks))
            need(len(content) == module.size and CRC(content) == module.crc, "a module's CRC")
            whole.append(content)
        self.image = b"".join(whole)
