-- Wireshark and tshark read bootcast's own parts of a carousel: the CRC extension (HET 120), the FEC payload ID,
-- the signed header, bulletins and the log-in gate's ticks. The rest of a packet is standard FLUTE over ALC, which Wireshark's own dissector reads.
--
--   tshark -X lua_script:bootcast.lua -r x.pcap                       packets are known by their first bytes
--   tshark -X lua_script:bootcast.lua -d udp.port==5077,bootcast -r x.pcap
--   or copy it into the plugin folder that Help > About > Folders names
--
-- Layouts: docs/protocol.md, "A data packet" and "The signed header".

local proto = Proto("bootcast", "bootcast carousel")

local PLAIN_FLAGS = 0x10A0
local EXT_CRC, CRC_OFFSET, EXT_OFFSET = 120, 20, 16
local RAPTORQ, HEADER_SUFFIX, HEADER_BYTES = 6, 7, 256
local BULLETIN_TOI, BULLETIN_HEAD, BULLETIN_STAGE, BULLETIN_TAIL = 1, 92, 88, 68
local TICK_BYTES = 64
local GATE_STATES = { [0] = "none", [1] = "open", [2] = "hold", [3] = "ticking" }
local FLUTE_LEVELS = { [0] = "the image", [7] = "the signed header" }

local f = {
  level = ProtoField.uint8("bootcast.level", "Digest level (0: the image, 7: the signed header)"),
  base = ProtoField.uint32("bootcast.base", "TOI base of the release", base.HEX),
  sbn = ProtoField.uint32("bootcast.sbn", "Source block (SBN)"),
  esi = ProtoField.uint32("bootcast.esi", "Encoding symbol (ESI)"),
  symbol_size = ProtoField.uint32("bootcast.symbol_size", "Bytes of the symbol"),
  crc = ProtoField.uint32("bootcast.crc", "CRC-32 of the packet", base.HEX),
  crc_good = ProtoField.bool("bootcast.crc.good", "CRC-32 is right"),
  name = ProtoField.string("bootcast.header.name", "Name"),
  version = ProtoField.string("bootcast.header.version", "Version"),
  hardware = ProtoField.string("bootcast.header.hardware", "Hardware (OUI:model:version)"),
  counter = ProtoField.uint32("bootcast.header.security_counter", "Security counter"),
  created = ProtoField.absolute_time("bootcast.header.created", "Created", base.UTC),
  image_size = ProtoField.uint64("bootcast.header.image_size", "Image size"),
  header_symbol_size = ProtoField.uint16("bootcast.header.symbol_size", "Symbol size T"),
  blocks = ProtoField.uint16("bootcast.header.source_blocks", "Source blocks Z"),
  repair = ProtoField.uint32("bootcast.header.repair_per_block", "Repair symbols of a block R"),
  sha256 = ProtoField.bytes("bootcast.header.image_sha256", "SHA-256 of the image"),
  top = ProtoField.bytes("bootcast.header.top_sha256", "SHA-256 of the top digest level"),
  key = ProtoField.bytes("bootcast.header.key_id", "Key id"),
  header_crc_good = ProtoField.bool("bootcast.header.crc.good", "Header's CRC-32 is right"),
  epoch = ProtoField.uint64("bootcast.bulletin.epoch", "Epoch of the decisions"),
  issued = ProtoField.absolute_time("bootcast.bulletin.issued", "Issued", base.UTC),
  bulletin_key = ProtoField.bytes("bootcast.bulletin.key_id", "Key id"),
  part = ProtoField.string("bootcast.bulletin.part", "Part"),
  gate = ProtoField.uint8("bootcast.bulletin.gate", "Log-in gate", base.DEC, GATE_STATES),
  tick = ProtoField.uint32("bootcast.bulletin.gate_tick", "The gate's tick"),
  stage_release = ProtoField.bytes("bootcast.bulletin.release", "Release id"),
  stage_percent = ProtoField.double("bootcast.bulletin.percent", "For so many per cent of the boxes"),
  stage_halted = ProtoField.bool("bootcast.bulletin.halted", "Halted"),
  stage_why = ProtoField.string("bootcast.bulletin.why", "Why"),
  bulletin_crc_good = ProtoField.bool("bootcast.bulletin.crc.good", "Bulletin's CRC-32 is right"),
  bulletin_signature = ProtoField.bytes("bootcast.bulletin.signature", "Ed25519 signature (not checked here)"),
  tick_chain = ProtoField.bytes("bootcast.tick.chain", "Chain id"),
  tick_number = ProtoField.uint32("bootcast.tick.number", "Tick"),
  tick_value = ProtoField.bytes("bootcast.tick.value", "Value"),
  tick_crc_good = ProtoField.bool("bootcast.tick.crc.good", "Tick's CRC-32 is right"),
  signature = ProtoField.bytes("bootcast.header.signature", "Ed25519 signature (not checked here)"),
}
proto.fields = f

local bad_crc = ProtoExpert.new("bootcast.crc.bad", "the CRC-32 is wrong", expert.group.CHECKSUM, expert.severity.ERROR)
proto.experts = { bad_crc }

local crc_table = {}
for n = 0, 255 do
  local c = n
  for _ = 1, 8 do
    c = bit32.band(c, 1) == 1 and bit32.bxor(0xEDB88320, bit32.rshift(c, 1)) or bit32.rshift(c, 1)
  end
  crc_table[n] = c
end

-- CRC-32 (ISO-HDLC) of a string, going on from another.
local function crc32(text, before)
  local c = bit32.bnot(before or 0)
  for i = 1, #text do
    c = bit32.bxor(crc_table[bit32.band(bit32.bxor(c, text:byte(i)), 0xFF)], bit32.rshift(c, 8))
  end
  return bit32.bnot(c)
end

local function add_header(tree, tvb)
  local part = tree:add(proto, tvb, "Signed header")
  part:add(f.name, tvb(128, 32), tvb(128, 32):stringz(ENC_UTF_8))
  local version = string.format("%d.%d.%d", tvb(24, 2):le_uint(), tvb(26, 2):le_uint(), tvb(28, 4):le_uint())
  part:add(f.version, tvb(24, 8), version)
  local any = tvb(18, 2):le_uint()
  local hardware = string.format("%06X:%d:%s", tvb(12, 4):le_uint(), tvb(16, 2):le_uint(), any == 0xFFFF and "any" or any)
  part:add(f.hardware, tvb(12, 8), hardware)
  part:add_le(f.counter, tvb(20, 4))
  part:add(f.created, tvb(32, 8), NSTime.new(tvb(32, 8):le_uint64():tonumber(), 0))
  part:add_le(f.image_size, tvb(40, 8))
  part:add_le(f.header_symbol_size, tvb(48, 2))
  part:add_le(f.blocks, tvb(50, 2))
  part:add_le(f.repair, tvb(52, 4))
  part:add(f.sha256, tvb(56, 32))
  part:add(f.top, tvb(88, 32))
  part:add(f.key, tvb(120, 8))
  part:add(f.header_crc_good, tvb(188, 4), crc32(tvb:raw(0, 188)) == tvb(188, 4):le_uint())
  part:add(f.signature, tvb(192, 64))
  return version
end

local function is_bulletin(tvb)
  return tvb:len() >= BULLETIN_HEAD + BULLETIN_TAIL and tvb:raw(0, 4) == "BCBL"
    and tvb:len() == BULLETIN_HEAD + tvb(34, 1):uint() * BULLETIN_STAGE + BULLETIN_TAIL
end

local function add_stage(tree, tvb)
  local part = tree:add(proto, tvb, "Decision about a release")
  part:add(f.stage_release, tvb(0, 16))
  part:add(f.stage_percent, tvb(24, 4), (tvb(24, 4):le_uint() + 1) / 2 ^ 32 * 100)
  part:add(f.stage_halted, tvb(32, 1), bit32.band(tvb(32, 1):uint(), 1) == 1)
  part:add(f.stage_why, tvb(56, 32), tvb(56, 32):stringz(ENC_UTF_8))
end

local function add_bulletin(tree, tvb)
  local part, stages = tree:add(proto, tvb, "Bulletin"), tvb(34, 1):uint()
  local issued_ms = tvb(16, 8):le_uint64():tonumber()
  part:add_le(f.epoch, tvb(8, 8))
  part:add(f.issued, tvb(16, 8), NSTime.new(math.floor(issued_ms / 1000), issued_ms % 1000 * 1000000))
  part:add(f.bulletin_key, tvb(24, 8))
  part:add(f.part, tvb(32, 2), string.format("%d of %d", tvb(32, 1):uint() + 1, tvb(33, 1):uint()))
  part:add(f.gate, tvb(35, 1))
  part:add_le(f.tick, tvb(36, 4))
  for n = 0, stages - 1 do
    add_stage(part, tvb(BULLETIN_HEAD + n * BULLETIN_STAGE, BULLETIN_STAGE):tvb())
  end
  local at = tvb:len() - BULLETIN_TAIL
  part:add(f.bulletin_crc_good, tvb(at, 4), crc32(tvb:raw(0, at)) == tvb(at, 4):le_uint())
  part:add(f.bulletin_signature, tvb(at + 4, 64))
  return string.format("bulletin of epoch %s: %d decision(s)", tostring(tvb(8, 8):le_uint64()), stages)
end

local function is_tick(tvb)
  return tvb:len() == TICK_BYTES and tvb:raw(0, 4) == "BCTK"
end

local function add_tick(tree, tvb)
  local part = tree:add(proto, tvb, "Tick of the log-in gate")
  part:add(f.tick_chain, tvb(8, 16))
  part:add_le(f.tick_number, tvb(24, 4))
  part:add(f.tick_value, tvb(28, 32))
  part:add(f.tick_crc_good, tvb(60, 4), crc32(tvb:raw(0, 60)) == tvb(60, 4):le_uint())
  return string.format("the log-in gate's tick %d", tvb(24, 4):le_uint())
end

-- What is of no release: return its line, or nothing if it is none of ours.
local function add_notice(tree, tvb)
  if is_bulletin(tvb) then
    return add_bulletin(tree, tvb)
  elseif is_tick(tvb) then
    return add_tick(tree, tvb)
  end
end

local function is_ours(tvb)
  return tvb:len() >= 28 and tvb(0, 2):uint() == PLAIN_FLAGS and tvb(2, 1):uint() >= 6
    and tvb(EXT_OFFSET, 1):uint() == EXT_CRC and tvb(EXT_OFFSET + 1, 1):uint() == 2
end

function proto.dissector(tvb, pinfo, root)
  Dissector.get("alc"):call(tvb, pinfo, root)
  if not is_ours(tvb) then
    return tvb:len()
  end
  local tree = root:add(proto, tvb())
  local crc = tvb(CRC_OFFSET, 4)
  local good = crc32(tvb:raw(CRC_OFFSET + 4), crc32(tvb:raw(0, CRC_OFFSET))) == crc:uint()
  local item = tree:add(f.crc, crc)
  tree:add(f.crc_good, crc, good):set_generated()
  if not good then
    item:add_proto_expert_info(bad_crc)
  end
  local toi, codepoint = tvb(12, 4):uint(), tvb(3, 1):uint()
  local id_offset = 4 * tvb(2, 1):uint()
  if toi == BULLETIN_TOI and codepoint == 0 and tvb:len() > id_offset + 4 then
    local line = add_notice(tree, tvb(id_offset + 4):tvb())
    if line then
      pinfo.cols.protocol = "bootcast"
      pinfo.cols.info = line
      return tvb:len()
    end
  end
  if toi < 8 or tvb:len() < id_offset + 4 then -- an FDT: Wireshark's own dissector shows it
    return tvb:len()
  end
  local level = bit32.band(toi, 7)
  tree:add(f.base, tvb(12, 4), bit32.band(toi, 0xFFFFFFF8))
  tree:add(f.level, tvb(12, 4), level)
  local shift = codepoint == RAPTORQ and 24 or 16
  local id = tvb(id_offset, 4):uint()
  local sbn, esi = bit32.rshift(id, shift), bit32.band(id, 2 ^ shift - 1)
  tree:add(f.sbn, tvb(id_offset, 4), sbn)
  tree:add(f.esi, tvb(id_offset, 4), esi)
  local symbol_size = tvb:len() - id_offset - 4
  tree:add(f.symbol_size, tvb(id_offset + 4), symbol_size):set_generated()
  pinfo.cols.protocol = "bootcast"
  if level == HEADER_SUFFIX and symbol_size == HEADER_BYTES then
    local version = add_header(tree, tvb(id_offset + 4):tvb())
    pinfo.cols.info = string.format("release %08x is version %s", bit32.band(toi, 0xFFFFFFF8), version)
  else
    local what = FLUTE_LEVELS[level] or ("digest level " .. level)
    pinfo.cols.info = string.format("%s: block %d, symbol %d", what, sbn, esi)
  end
  return tvb:len()
end

proto:register_heuristic("udp", function(tvb, pinfo, root)
  if not is_ours(tvb) then
    return false
  end
  proto.dissector(tvb, pinfo, root)
  return true
end)
DissectorTable.get("udp.port"):add_for_decode_as(proto)
