"""What lies on the firmware's partition, byte by byte as loaders read it: environments, images, variables."""

import zlib

import pytest

from carousel.errors import OperatorError
from settop.boot.backend import SlotImage
from settop.boot.firmwarefiles import Environment, check_machine, place_bytes, place_program, source_of
from settop.boot.grub import Grub
from settop.boot.kexec import Kexec
from settop.boot.systemdboot import LOADER_GUID, SystemdBoot, efi_text
from settop.boot.tryboot import TryBoot, build_autoboot, parse_autoboot
from settop.boot.uboot import UBoot
from settop.store.choice import Source
from tests.settop.boot.models import SLOTS, FakeMachine, RailDisk, Rails, header_of, image_of

A, B = SLOTS
ARMED = Environment(26, A, B, 3)
U_BOOT_TEXT = b"bc_default=slot-a\0bc_seq=1a\0bc_slot=slot-b\0bc_tries=3\0\0"
GRUB_TEXT = (
    b"# GRUB Environment Block\nbc_seq=26\nbc_default=slot-a\nbc_slot=slot-b\nbc_tries=3\nbc_check=26.slot-a.slot-b.3\n"
)


@pytest.fixture
def rails():
    return Rails()


@pytest.fixture
def machine(rails):
    return FakeMachine(rails)


@pytest.fixture
def disk(rails):
    return RailDisk(rails)


def stored(disk, version="1.0.0"):
    disk.write("slot-a.image", 0, image_of(version))
    return SlotImage(disk, "slot-a.image", header_of(version))


# --- environment files -----------------------------------------------------------------------------------------


def u_boot_file(text):
    body = text.ljust(4092, b"\0")
    return zlib.crc32(body).to_bytes(4, "little") + body


def test_u_boot_s_file_is_what_env_export_writes():
    assert UBoot.encode(ARMED) == u_boot_file(U_BOOT_TEXT)
    assert UBoot.decode(UBoot.encode(ARMED)) == ARMED
    assert UBoot.encode(Environment()) == u_boot_file(b"bc_default=receiver\0bc_seq=0\0bc_slot=none\0bc_tries=0\0\0")
    assert UBoot.decode(UBoot.encode(Environment())) == Environment()
    assert UBoot.decode(u_boot_file(U_BOOT_TEXT.replace(b"=3", b"=1f"))) == ARMED.but(tries_left=31)


@pytest.mark.parametrize(
    "text",
    [
        b"arch=arm\0bootargs=console=ttyS0 quiet\0noise\0" + U_BOOT_TEXT,
        U_BOOT_TEXT + b"bc_seq=ff\0" + b"\0",
        U_BOOT_TEXT.replace(b"1a", b"1A"),
        b"bootcmd=x=y\0" + U_BOOT_TEXT,
        b"name\xff=x\0" + U_BOOT_TEXT,
    ],
    ids=["other variables", "behind the end", "capitals", "more than one =", "no ASCII"],
)
def test_u_boot_s_own_variables_may_stand_beside_ours(text):
    assert UBoot.decode(u_boot_file(text)) == ARMED


@pytest.mark.parametrize("name", [b"bc_default", b"bc_seq", b"bc_slot", b"bc_tries"])
def test_a_u_boot_file_that_lacks_a_value_is_none(name):
    assert UBoot.decode(u_boot_file(U_BOOT_TEXT.replace(name, b"bc_other"))) is None
    assert UBoot.decode(u_boot_file(b"")) is None
    assert UBoot.decode(u_boot_file(U_BOOT_TEXT.replace(b"=3", b"=three"))) is None


def test_a_u_boot_file_of_another_size_or_with_a_flipped_bit_is_none():
    raw = UBoot.encode(ARMED)
    assert UBoot.decode(raw + b"\0") is None
    assert UBoot.decode(raw[:-1]) is None
    for at in (0, 3, 4, 20, 4095):
        assert UBoot.decode(raw[:at] + bytes([raw[at] ^ 4]) + raw[at + 1 :]) is None


def test_grub_s_block_is_1024_bytes_and_says_all_twice():
    assert Grub.encode(ARMED) == GRUB_TEXT.ljust(1024, b"#")
    assert Grub.decode(Grub.encode(ARMED)) == ARMED
    assert Grub.encode(Environment()).rstrip(b"#").endswith(b"bc_check=0.receiver.none.0\n")
    assert Grub.decode(Grub.encode(Environment())) == Environment()


def test_a_grub_block_with_other_variables_as_save_env_leaves_them_is_read():
    text = GRUB_TEXT.replace(b"bc_seq", b"menu=a=b\nloose words\nbc_seq") + b"words=and bc_seq=7\n"
    assert Grub.decode(text.ljust(1024, b"#")) == ARMED


def test_a_word_that_names_no_source_stands_for_the_receiver_whatever_it_is():
    grub = GRUB_TEXT.replace(b"slot-a", b"slot=a")
    assert Grub.decode(grub.ljust(1024, b"#")) == ARMED.but(default=None)
    assert UBoot.decode(u_boot_file(U_BOOT_TEXT.replace(b"slot-a", b"slot=a"))) == ARMED.but(default=None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"bc_tries=3", b"bc_tries=2"),
        (b"bc_seq=26", b"bc_seq=27"),
        (b"bc_slot=slot-b", b"bc_slot=slot-a"),
        (b"bc_default=slot-a", b"bc_default=slot-b"),
        (b"bc_check", b"bc_chuck"),
        (b"bc_tries", b"bc_trees"),
        (b"# GRUB", b"# GRAB"),
        (b"26", b"-6"),
        (b"3\nbc_check=26.slot-a.slot-b.3", b"x\nbc_check=26.slot-a.slot-b.x"),
    ],
)
def test_a_grub_block_that_contradicts_itself_is_none(old, new):
    assert Grub.decode(GRUB_TEXT.replace(old, new).ljust(1024, b"#")) is None
    assert Grub.decode(GRUB_TEXT.ljust(1023, b"#")) is None


@pytest.mark.parametrize("make", [UBoot, Grub], ids=lambda make: make.name)
class TestTurns:
    def environments(self, loader, disk):
        return [loader.decode(disk.read(name) or b"") for name in loader.files]

    def test_the_older_file_is_written_and_the_other_one_left_alone(self, make, disk, machine):
        loader = make(disk, machine)
        loader.arm(A, None, 3)
        assert self.environments(loader, disk) == [Environment(1, None, A, 3), None]
        loader.commit(A)
        assert self.environments(loader, disk) == [Environment(1, None, A, 3), Environment(2, A)]
        loader.arm(B, None, 2)
        assert self.environments(loader, disk) == [Environment(3, A, B, 2), Environment(2, A)]
        assert loader.state().raw == f"{make.name}: default slot-a, slot-b armed for 2 (environment 3)"
        state = loader.state()
        assert (state.default, state.armed, state.tries_left) == (A, B, 2)
        loader.commit(None)
        assert loader.state().raw == f"{make.name}: default receiver (environment 4)"

    def test_what_is_so_already_is_written_only_to_mend_the_other_file(self, make, disk, machine):
        loader = make(disk, machine)
        loader.commit(B)
        operations = disk.rails.operations
        loader.commit(B)
        assert self.environments(loader, disk) == [Environment(1, B), Environment(2, B)]
        assert disk.rails.operations > operations
        operations = disk.rails.operations
        loader.commit(B)
        loader.forget(A)
        assert disk.rails.operations == operations

    def test_forgetting_disarms_and_leaves_the_default_of_the_other_slot(self, make, disk, machine):
        loader = make(disk, machine)
        loader.commit(A)
        loader.arm(B, None, 3)
        loader.forget(B)
        assert loader.environment().but(sequence=0) == Environment(0, A)
        loader.forget(A)
        assert loader.environment().but(sequence=0) == Environment()

    def test_a_file_of_another_size_is_made_anew(self, make, disk, machine):
        loader = make(disk, machine)
        disk.write(loader.files[0], 0, bytes(9999))
        loader.commit(A)
        assert disk.read(loader.files[0]) == loader.encode(Environment(1, A))
        disk._lose_power()
        assert loader.environment() == Environment(1, A), "it is on the medium"

    def test_a_partition_that_fails_or_lies_is_said(self, make, disk, machine, monkeypatch):
        loader = make(disk, machine)
        disk.read_only = True
        with pytest.raises(OperatorError, match=f"does not take {loader.files[0]}: .*[Rr]ead-only"):
            loader.commit(A)
        disk.read_only = False
        monkeypatch.setattr(disk, "write", lambda name, offset, data: RailDisk.write(disk, name, offset, data[:-1]))
        with pytest.raises(OperatorError, match=f"{loader.files[0]} does not read back as it was written"):
            loader.commit(A)

    def test_it_serves_where_one_of_its_files_lies(self, make, disk, machine):
        loader = make(disk, machine)
        assert loader.probe() == f"neither {make.script} nor {make.files[0]} is on the firmware's partition"
        for name in (*make.files, make.script):
            disk.write(name, 0, b"x")
            assert loader.probe() is None
            disk.remove(name)
        assert make(None, machine).probe() == "no folder of the firmware's partition is named (--firmware)"
        with pytest.raises(OperatorError, match=f"--backend {make.name} needs the firmware's partition"):
            make(None, machine).state()


# --- images ----------------------------------------------------------------------------------------------------


def test_a_program_is_placed_whole_in_place_of_what_was_there(disk, machine, rails):
    image = stored(store := RailDisk(rails))
    store.chunks = lambda name: iter([image_of("1.0.0")[:100], image_of("1.0.0")[100:150], image_of("1.0.0")[150:]])
    disk.write("slot-b.efi", 0, bytes(100_000))
    place_program(disk, image, B, machine, "U-Boot")
    assert disk.read("slot-b.efi") == image_of("1.0.0")
    disk._lose_power()
    assert disk.read("slot-b.efi") == image_of("1.0.0"), "it is on the medium"
    disk.chunks = lambda name: iter([image_of("1.0.0")[:70], image_of("1.0.0")[70:]])
    assert UBoot(disk, machine).holds(B, image), "however it is read"


def test_an_image_for_another_processor_is_refused_where_the_kernel_tells_its_own(disk, machine, rails):
    image = stored(RailDisk(rails))
    for here in (None, b"aarch64\n", b"riscv128\n"):
        machine.files["/proc/sys/kernel/arch"] = here
        place_program(disk, image, A, machine, "U-Boot")
        check_machine(image, machine, 0xAA64)
    machine.files["/proc/sys/kernel/arch"] = b"x86_64\n"
    with pytest.raises(OperatorError, match=r"another processor than this machine's \(x86_64\)"):
        place_program(disk, image, B, machine, "U-Boot")
    assert disk.read("slot-b.efi") is None


def test_what_is_no_program_or_gone_is_refused(disk, machine, rails):
    store = RailDisk(rails)
    image = SlotImage(store, "slot-a.image", header_of("1.0.0", kind="plain"))
    with pytest.raises(OperatorError, match="not in the store any more"):
        place_program(disk, image, A, machine, "U-Boot")
    store.write("slot-a.image", 0, image_of("1.0.0", "plain"))
    with pytest.raises(OperatorError, match=r"is no EFI program .*, which U-Boot starts; make one"):
        place_program(disk, image, A, machine, "U-Boot")


def test_a_card_that_lies_is_noticed(disk, machine, rails, monkeypatch):
    image = stored(RailDisk(rails))
    monkeypatch.setattr(disk, "write", lambda name, offset, data: RailDisk.write(disk, name, offset, data[:-1] + b"?"))
    with pytest.raises(OperatorError, match=r"slot-a\.efi does not read back from the firmware's partition"):
        place_program(disk, image, A, machine, "U-Boot")
    with pytest.raises(OperatorError, match=r"initrd\.img does not read back from the firmware's partition"):
        place_bytes(disk, "initrd.img", b"content")


def test_a_part_that_is_there_is_not_written_again(disk):
    place_bytes(disk, "initrd.img", b"content")
    operations = disk.rails.operations
    place_bytes(disk, "initrd.img", b"content")
    assert disk.rails.operations == operations
    place_bytes(disk, "initrd.img", b"other")
    assert disk.read("initrd.img") == b"other"


def test_words_name_sources():
    assert [source_of(word) for word in ("slot-a", "slot-b", "eeprom", "receiver", "")] == [*Source, None, None]


# --- systemd-boot's variables ------------------------------------------------------------------------------------


def variable(name):
    return f"/sys/firmware/efi/efivars/{name}-{LOADER_GUID}"


def efi(text):
    return b"\x07\0\0\0" + (text + "\0").encode("utf-16-le")


def test_efi_text_ends_at_its_nul_and_needs_none():
    assert efi_text(efi("slot-a.conf") + b"rest") == "slot-a.conf"
    assert efi_text(efi("slot-a.conf")[:-2]) == "slot-a.conf"
    assert (efi_text(b""), efi_text(b"\x07\0\0\0")) == ("", "")
    assert efi_text(efi("ä") + b"\xd8") == "ä"


def test_without_variables_the_receiver_is_the_default(disk, machine):
    assert SystemdBoot(disk, machine).state().raw == "systemd-boot: default receiver.conf"


def test_variables_are_written_as_uefi_has_them_and_only_when_they_change(disk, machine):
    loader = SystemdBoot(disk, machine)
    loader.commit(A)
    assert machine.files == {variable("LoaderEntryDefault"): efi("slot-a.conf")}
    loader.arm(B, None, 1)
    assert machine.files[variable("LoaderEntryOneShot")] == efi("slot-b.conf")
    assert loader.state().raw == "systemd-boot: default slot-a.conf, slot-b.conf once"
    assert (loader.state().default, loader.state().armed, loader.state().tries_left) == (A, B, 1)
    operations = machine.rails.operations
    loader.arm(B, None, 1)
    assert machine.rails.operations == operations
    loader.forget(A)
    assert efi_text(machine.files[variable("LoaderEntryDefault")]) == "receiver.conf"
    assert loader.state().armed is B
    loader.forget(B)
    assert variable("LoaderEntryOneShot") not in machine.files
    assert loader.state().raw == "systemd-boot: default receiver.conf"
    assert (loader.state().default, loader.state().armed, loader.state().tries_left) == (None, None, 0)


def test_a_commit_to_the_receiver_disarms(disk, machine):
    loader = SystemdBoot(disk, machine)
    loader.arm(B, None, 1)
    loader.commit(None)
    assert machine.files == {variable("LoaderEntryDefault"): efi("receiver.conf")}


def test_a_firmware_that_takes_no_variable_is_said(disk, machine, monkeypatch):
    loader = SystemdBoot(disk, machine)
    monkeypatch.setattr(machine, "write", lambda path, data: None)
    with pytest.raises(OperatorError, match="LoaderEntryDefault does not read back as it was set"):
        loader.commit(A)

    def refuse(path, data):
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(machine, "write", refuse)
    with pytest.raises(OperatorError, match=r"LoaderEntryDefault can't be set \(.*[Rr]ead-only"):
        loader.commit(A)


def test_it_serves_what_systemd_boot_started(disk, machine):
    assert SystemdBoot(disk, machine).probe().startswith("this system was not started by systemd-boot")
    machine.files[variable("LoaderInfo")] = efi("rEFInd 0.14")
    assert SystemdBoot(disk, machine).probe().startswith("this system was not started by systemd-boot")
    machine.files[variable("LoaderInfo")] = efi("systemd-boot 252")
    assert SystemdBoot(disk, machine).probe() is None
    assert "--firmware" in SystemdBoot(None, machine).probe()
    with pytest.raises(OperatorError, match="needs the EFI system partition"):
        SystemdBoot(None, machine).holds(A, None)


# --- the Pi's autoboot.txt, GRUB's and kexec's words ----------------------------------------------------------------


def test_autoboot_is_a_sector_with_its_digits_in_fixed_places():
    raw = build_autoboot(2, 3)
    text = b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
    assert raw == text.ljust(511, b"#") + b"\n"
    assert [number for number in range(512) if build_autoboot(1, 1)[number] != raw[number]] == [
        text.index(b"=2") + 1,
        text.index(b"=3") + 1,
    ]
    assert (parse_autoboot(raw, False), parse_autoboot(raw, True)) == (2, 3)


@pytest.mark.parametrize(
    ("text", "plain", "tried"),
    [
        (b"", 1, 1),
        (b"boot_partition=2\n", 2, 2),
        (b"[all]\nboot_partition=2\n[tryboot]\nboot_partition=x\n", 2, 2),
        (b"[all]\nboot_partition= 3 \n[ tryboot]\nboot_partition=2\n", 3, 3),
        (b"[pi4]\nboot_partition=2\n[all]\nboot_partition=3\n", 3, 3),
        (b"[tryboot] \nboot_partition=2\n[all\nboot_partition=3", 1, 3),
        (b"boot_partition=7\nboot_partition=22\nboot_partition=\n", 1, 1),
        (b"#" * 512 + b"\nboot_partition=2\n", 1, 1),
        (b"[all]\nboot_partition=2=3\n", 1, 1),
        (b"[all]\nboot_partition=2\nboot_partition=1\n", 1, 1),
    ],
)
def test_autoboot_is_read_as_the_firmware_reads_it(text, plain, tried):
    assert (parse_autoboot(text, False), parse_autoboot(text, True)) == (plain, tried)


def test_tryboot_serves_where_firmware_partition_and_slots_are_there(disk, machine, rails):
    slots = {source: RailDisk(rails) for source in SLOTS}
    assert "has no tryboot" in TryBoot(disk, slots, machine).probe()
    machine.files["/proc/device-tree/chosen/bootloader/tryboot"] = bytes(4)
    assert TryBoot(disk, slots, machine).probe() == "there is no autoboot.txt in the folder of --firmware"
    assert TryBoot(None, slots, machine).probe() == "there is no autoboot.txt in the folder of --firmware"
    disk.write("autoboot.txt", 0, build_autoboot(1, 2))
    assert TryBoot(disk, slots, machine).probe() is None
    assert TryBoot(disk, {A: disk}, machine).probe() == "the partition of slot-b is not mounted beside it"
    with pytest.raises(OperatorError, match="partition of slot-a is not mounted"):
        TryBoot(disk, {B: disk}, machine).arm(A, None, 1)
    with pytest.raises(OperatorError, match="needs the card's first partition"):
        TryBoot(None, slots, machine).state()


def test_a_pi_that_tells_its_partition_tells_its_slot_where_no_command_line_does(disk, machine, rails):
    loader = TryBoot(disk, {source: RailDisk(rails) for source in SLOTS}, machine)
    partition = "/proc/device-tree/chosen/bootloader/partition"
    for raw, source in ((None, None), (bytes(4), None), (b"\0\0\0\1", None), (b"\0\0\0\2", A), (b"\0\0\0\3", B)):
        machine.files[partition] = raw
        assert loader.booted() is source
    machine.files["/proc/cmdline"] = b"bootcast.slot=slot-a"
    assert loader.booted() is A, "the command line is the better witness"


@pytest.mark.parametrize("path", ["\\slot-b.efi", "/EFI/bootcast\\slot-b.efi", "\\EFI\\x/slot-b.efi"])
def test_grub_s_running_image_is_told_by_its_file(path, disk, machine):
    machine.files[variable("LoaderImageIdentifier")] = efi(path)
    assert Grub(disk, machine).booted() is B


def test_a_command_line_need_not_be_text(machine, disk):
    image = stored(disk)
    digest = image.header.image_sha256[:8].hex()
    machine.files["/proc/cmdline"] = f"bootcast.slot=slot-a bootcast.image={digest} name=".encode() + b"\xe9\n"
    assert Kexec(machine).booted() is A
    assert Kexec(machine).holds(A, image)


def test_kexec_needs_a_kernel_and_a_program_and_loads_a_kernel_with_its_words(machine, disk):
    kexec = Kexec(machine)
    assert "CONFIG_KEXEC" in kexec.probe()
    machine.files["/sys/kernel/kexec_loaded"] = b"0\n"
    assert kexec.probe() is None
    machine.programs.clear()
    assert "kexec-tools" in kexec.probe()
    image = stored(disk)
    words = f"bootcast.slot=slot-a bootcast.image={image.header.image_sha256[:8].hex()}"
    kexec.arm(A, image, 1)
    assert machine.ran == [
        ["mkdir", "-p", "/run/bootcast"],
        [
            "kexec",
            "-l",
            "-i",
            "/run/bootcast/linux",
            "--initrd=/run/bootcast/initrd",
            f"--command-line=console=x v=1.0.0 {words}",
        ],
    ]
    machine.files["/proc/cmdline"] = f"console=x {words}\n".encode()
    assert kexec.booted() is A
    assert kexec.holds(A, image)
    assert not kexec.holds(B, image)
    machine.exit_code = 1
    with pytest.raises(OperatorError, match="kexec does not load the image's kernel"):
        kexec.arm(A, image, 1)
