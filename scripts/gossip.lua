-- A Wireshark dissector for the datagrams of gossip networks, wire version 2.
--
-- Put this file into Wireshark's folder for personal Lua plugins (`tshark -G folders` names it), or
-- hand it to tshark: `tshark -X lua_script:scripts/gossip.lua -r FILE`. It was tried with Wireshark
-- 3.4, 4.0 and 4.4, whose Lua is 5.2 or 5.4. For root, 4.4 and later run only scripts in the global folder.
--
-- Read it beside docs/wire-format.md and protocol/src/datagram (header.rs, wire.rs). It has their order: how numbers are
-- written, the parts of frames, the frames, the datagram; then all that Wireshark is told. Each
-- frame is described once, in the table `frames`; its fields, its bytes and its place in the tree
-- all follow from that, so `gossip.rumor.hops` is the part `hops` of the frame `rumor`.
--
-- A datagram that a node would refuse is flagged `gossip.malformed`, for the same reasons as in
-- there, except for its tag and its session: the capture does not have the key.

local MAGIC, VERSION, TAG_BYTES = string.char(0x67, 0xc5), 2, 16
local RELAYS_MAX = 16
-- The default of `suspect-after`: a longer silence is shown.
local HEARD_LATELY_MS = 2000

local proto = Proto("gossip", "Gossip")
local fields = {} -- Every ProtoField by its name.

--------------------------------------------------------------------------------------------------
-- Bytes, numbers, errors
--------------------------------------------------------------------------------------------------

-- Reading ends early with an error that is a table. It has `cut` where the capture holds less than
-- was sent, which is no mistake. Any other error is a mistake in this file, and is not caught.
local function refuse(reason, ...)
  error({ reason = reason:format(...) })
end

local Reader = {}
Reader.__index = Reader

-- Moves over `count` bytes, and returns where they begin.
function Reader:take(count)
  local from = self.at
  if from + count > self.upto then refuse("it breaks off at byte %d", self.upto) end
  if from + count > #self.bytes then
    error({ cut = true, reason = "the capture holds only a part of it" })
  end
  self.at = from + count
  return from
end

function Reader:byte()
  return self.bytes:byte(self:take(1) + 1)
end

-- An unsigned number of `count` bytes, at most four, little endian.
function Reader:fixed(count)
  local from, value = self:take(count), 0
  for at = from + count, from + 1, -1 do value = value * 256 + self.bytes:byte(at) end
  return value
end

local WIDTHS = { [0xfb] = 2, [0xfc] = 4, [0xfd] = 8 }

-- A varint: a Lua number, or a UInt64 where the field has 64 bits. Like nodes, it accepts forms that
-- are longer than needed, but none that is wider than the field.
function Reader:varint(bits)
  local first = self:byte()
  local width = first > 250 and WIDTHS[first] or 0
  if (first > 250 and width == 0) or width * 8 > bits then
    refuse("%02x begins no number of %d bits, at byte %d", first, bits, self.at - 1)
  end
  if width == 8 then
    local low = self:fixed(4)
    return UInt64.new(low, self:fixed(4))
  end
  local value = width == 0 and first or self:fixed(width)
  return bits == 64 and UInt64.new(value) or value
end

-- The length of a list. Each element takes at least one byte, so a length beyond the bytes that are
-- left is refused before any element is read.
function Reader:length()
  local from = self.at
  local length, left = self:varint(64), self.upto - self.at
  if length > UInt64.new(left) then
    refuse("a length of %s at byte %d, and %d bytes are left", tostring(length), from, left)
  end
  return math.floor(length:tonumber())
end

function Reader:flag()
  local value = self:byte()
  if value > 1 then refuse("a flag of %d at byte %d", value, self.at - 1) end
  return value == 1
end

-- Whether a string is UTF-8, as strictly as Rust has it: nothing overlong, no surrogates.
local function is_utf8(text)
  local at = 1
  while at <= #text do
    at = text:match("^[%z\1-\127]+()", at) or at
    local a, b = text:byte(at, at + 1)
    if not a then return true end
    local more = (a >= 0xf0 and 3) or (a >= 0xe0 and 2) or 1
    if a < 0xc2 or a > 0xf4 or not text:find("^" .. ("[\128-\191]"):rep(more), at + 1) then return false end
    if (a == 0xe0 and b < 0xa0) or (a == 0xed and b > 0x9f) then return false end
    if (a == 0xf0 and b < 0x90) or (a == 0xf4 and b > 0x8f) then return false end
    at = at + more + 1
  end
  return true
end

--------------------------------------------------------------------------------------------------
-- The parts of frames
--------------------------------------------------------------------------------------------------

-- A kind of part knows how to declare its fields, how to read itself from bytes, and how to show
-- itself in the tree. A part that was read has its kind, its place, its value, and its own parts by name.

local function read(kind, reader)
  local part = { kind = kind, from = reader.at }
  kind.read(part, reader)
  part.upto = reader.at
  return part
end

local function bytes_of(part, tvb)
  return tvb(part.from, part.upto - part.from)
end

-- "sent_at" to "Sent at".
local function label(name)
  return (name:gsub("_", " "):gsub("^%l", string.upper))
end

-- A part with one field, made by `field` from its name and label. Parts whose bytes Wireshark can
-- read by itself are `raw`.
local function leaf(field, read_value, raw)
  return {
    declare = function(abbr, name) fields[abbr] = field(abbr, label(name)) end,
    read = function(part, reader) part.value = read_value(reader) end,
    show = function(part, tree, tvb, abbr)
      if raw then return tree:add(fields[abbr], bytes_of(part, tvb)) end
      return tree:add(fields[abbr], bytes_of(part, tvb), part.value)
    end,
  }
end

local byte = leaf(ProtoField.uint8, Reader.byte)
local flag = leaf(ProtoField.bool, Reader.flag, true)
local u16 = leaf(ProtoField.uint16, function(reader) return reader:varint(16) end)
local u32 = leaf(ProtoField.uint32, function(reader) return reader:varint(32) end)
local u64 = leaf(ProtoField.uint64, function(reader) return reader:varint(64) end)
local hash = leaf(function(abbr, name)
  return ProtoField.uint64(abbr, name, base.HEX)
end, function(reader) return reader:varint(64) end)

-- A node that must be one: 0 never is.
local node = leaf(ProtoField.uint32, function(reader)
  local number = reader:varint(32)
  if number == 0 then refuse("a node 0, at byte %d", reader.at - 1) end
  return number
end)

-- The start of a node: 0 never is one.
local life = leaf(ProtoField.uint64, function(reader)
  local number = reader:varint(64)
  if number == UInt64.new(0) then refuse("an incarnation 0, at byte %d", reader.at - 1) end
  return number
end)

-- That many bytes, as they are.
local function raw(count)
  return leaf(ProtoField.bytes, function(reader) reader:take(count) end, true)
end

-- Nanoseconds since 1970.
local time = leaf(function(abbr, name)
  return ProtoField.absolute_time(abbr, name, base.LOCAL)
end, function(reader)
  local ns, second = reader:varint(64), UInt64.new(1000000000)
  return NSTime.new((ns / second):tonumber(), (ns % second):tonumber())
end)

-- A payload, shown as a text. Nodes carry any bytes; the program sends UTF-8. Wireshark ends strings at
-- a zero byte, so that byte is shown as a symbol.
local text = leaf(ProtoField.string, function(reader)
  local length = reader:length()
  local from = reader:take(length)
  local value = reader.bytes:sub(from + 1, from + length)
  if value == "" then refuse("an empty text, at byte %d", from) end
  if not is_utf8(value) then value = value:gsub("[\128-\255]", "\xef\xbf\xbd") end
  return (value:gsub("%z", "␀"))
end)

-- The node numbers of a path, as one string and one by one. 0 marks the place where the middle was
-- cut out.
local path = {
  declare = function(abbr, name)
    fields[abbr] = ProtoField.string(abbr, label(name))
    fields[abbr .. ".node"] = ProtoField.uint32(abbr .. ".node", "Node")
  end,
  read = function(part, reader)
    local length = reader:length()
    local upto = reader.at + length
    local within = setmetatable({ bytes = reader.bytes, at = reader.at, upto = upto }, Reader)
    local names = {}
    part.nodes, part.cut = {}, false
    while within.at < upto do
      local hop = read(u32, within)
      if hop.value > 0 then
        part.nodes[#part.nodes + 1] = hop
      elseif part.cut then
        refuse("a path that is cut twice, at byte %d", hop.from)
      else
        part.cut = true
      end
      part.first, part.last = part.first or hop.value, hop.value
      names[#names + 1] = hop.value > 0 and ("%d"):format(hop.value) or "…"
    end
    if #part.nodes == 0 then refuse("a path without nodes, at byte %d", reader.at) end
    reader:take(length)
    part.value = table.concat(names, " ➜ ")
  end,
  show = function(part, tree, tvb, abbr)
    local item = tree:add(fields[abbr], bytes_of(part, tvb), part.value)
    for _, hop in ipairs(part.nodes) do u32.show(hop, item, tvb, abbr .. ".node") end
  end,
}

-- An address: `addr` where it is IPv4, `addr6` where it is IPv6.
local address = {
  declare = function(abbr, name)
    fields[abbr] = ProtoField.ipv4(abbr, label(name))
    fields[abbr .. "6"] = ProtoField.ipv6(abbr .. "6", label(name))
  end,
  read = function(part, reader)
    part.variant = reader:varint(32)
    if part.variant > 1 then refuse("an address that is neither IPv4 nor IPv6, at byte %d", part.from) end
    part.octets = reader:take(part.variant == 0 and 4 or 16)
  end,
  show = function(part, tree, tvb, abbr)
    tree:add(fields[part.variant == 0 and abbr or abbr .. "6"], tvb(part.octets, part.upto - part.octets))
  end,
}

-- Named parts one after the other. Together they may have a value, such as `8.1` for an id; `field`
-- makes the field that holds it.
local function struct(parts, field, value, check)
  local kind = {}
  function kind.declare(abbr, name)
    fields[abbr] = (field or ProtoField.none)(abbr, label(name))
    for _, described in ipairs(parts) do
      described[2].declare(abbr .. "." .. described[1], described[1])
    end
  end
  function kind.read(part, reader)
    for _, described in ipairs(parts) do part[described[1]] = read(described[2], reader) end
    if check then check(part, reader) end
    part.value = value and value(part)
  end
  function kind.show_parts(part, item, tvb, abbr)
    for _, described in ipairs(parts) do
      local name = described[1]
      part[name].kind.show(part[name], item, tvb, abbr .. "." .. name)
    end
  end
  function kind.show(part, tree, tvb, abbr)
    local at = bytes_of(part, tvb)
    local item = value and tree:add(fields[abbr], at, part.value) or tree:add(fields[abbr], at)
    kind.show_parts(part, item, tvb, abbr)
  end
  return kind
end

-- A number, and that many parts of one kind; the number is in `…_count`.
local function list(of)
  return {
    declare = function(abbr, name)
      of.declare(abbr, name)
      fields[abbr .. "_count"] = ProtoField.uint32(abbr .. "_count", label(name) .. " count")
    end,
    read = function(part, reader)
      part.count = reader:length()
      part.counted = reader.at
      for at = 1, part.count do part[at] = read(of, reader) end
    end,
    show = function(part, tree, tvb, abbr)
      tree:add(fields[abbr .. "_count"], tvb(part.from, part.counted - part.from), part.count)
      for _, element in ipairs(part) do of.show(element, tree, tvb, abbr) end
    end,
  }
end

-- A part that may be missing: `given` then is nil.
local function option(of)
  local none = {}
  return {
    declare = function(abbr, name)
      of.declare(abbr, name)
      none[abbr] = label(name) .. ": none"
    end,
    read = function(part, reader)
      if reader:flag() then part.given = read(of, reader) end
    end,
    show = function(part, tree, tvb, abbr)
      if part.given then
        of.show(part.given, tree, tvb, abbr)
      else
        tree:add(bytes_of(part, tvb), none[abbr])
      end
    end,
  }
end

-- `8.1`, or `8.1@2` for the second incarnation of node 8.
local function printed(origin, incarnation, sequence)
  local of = incarnation == UInt64.new(1) and "" or ("@%s"):format(tostring(incarnation))
  return ("%d.%s%s"):format(origin, tostring(sequence), of)
end

local id = struct({
  { "origin", u32 },
  { "incarnation", u64 },
  { "sequence", u64 },
}, ProtoField.string, function(part)
  return printed(part.origin.value, part.incarnation.value, part.sequence.value)
end)

-- Ids of one origin: the first, and as many `more` as follow it.
local id_range = struct({
  { "origin", node },
  { "incarnation", u64 },
  { "first", u64 },
  { "more", u64 },
}, ProtoField.string, function(part)
  local origin, incarnation, first = part.origin.value, part.incarnation.value, part.first.value
  local one = printed(origin, incarnation, first)
  if part.more.value == UInt64.new(0) then return one end
  return one .. "–" .. printed(origin, incarnation, first + part.more.value)
end, function(part)
  local first = part.first.value
  if first == UInt64.new(0) then refuse("a range that begins with 0, at byte %d", part.from) end
  if first + part.more.value < first then refuse("a range beyond the last number, at byte %d", part.from) end
end)

-- A node and where it listens; its value is its number.
local peer = struct({
  { "node", node },
  { "addr", address },
  { "port", u16 },
}, ProtoField.uint32, function(part)
  return part.node.value
end)

local known = { { "count", u64 }, { "fingerprint", hash }, { "recent", list(id_range) } }
local summary = struct(known)
local page = struct({ { "first", id }, { "end", option(id) } })

--------------------------------------------------------------------------------------------------
-- Words for the Info column
--------------------------------------------------------------------------------------------------

local SHOWN_CHARACTERS, SHOWN_ELEMENTS, INFO_BYTES = 40, 4, 220

-- A text on one line, not too long, and without characters that could drive a terminal: neither
-- control characters nor those that turn the direction of writing.
local function quoted(value)
  local characters, shown = 0, {}
  for character in value:gmatch("[%z\1-\127\194-\244][\128-\191]*") do
    characters = characters + 1
    if characters > SHOWN_CHARACTERS then
      shown[#shown + 1] = "…"
      break
    end
    if character:find("^%c") or character:find("^\194[\128-\159]$") then
      character = ("\\x%02x"):format(character:byte(-1))
    elseif character:find("^\226\128[\142\143\170-\174]$") or character:find("^\226\129[\166-\169]$") then
      character = "\\u20" .. ("%02x"):format((character:byte(2) - 128) * 64 + character:byte(3) - 128)
    end
    shown[#shown + 1] = character
  end
  return "“" .. table.concat(shown) .. "”"
end

-- "8.1, 8.4–8.9 and 3 more", or `nothing` for no elements.
local function enumerated(elements, nothing)
  local shown = {}
  for at = 1, math.min(#elements, SHOWN_ELEMENTS) do shown[at] = tostring(elements[at].value) end
  if #elements == 0 then return nothing end
  local more = #elements - #shown
  return table.concat(shown, ", ") .. (more > 0 and (" and %d more"):format(more) or "")
end

-- A path, without most of its middle if it is long.
local function trail(way)
  if #way.nodes <= 6 then return way.value end
  return ("%d ➜ … ➜ %d ➜ %d"):format(way.first, way.nodes[#way.nodes - 1].value, way.last)
end

local function nodes(elements, nothing)
  local word = #elements == 1 and "node " or "nodes "
  return #elements == 0 and nothing or word .. enumerated(elements)
end

local function how_much_is_known(part)
  local count, recent = tostring(part.count.value), enumerated(part.recent, "")
  if recent ~= "" then recent = ", lately " .. recent end
  if count == "0" then return "knows " .. (recent == "" and "no message" or recent:gsub("^, lately ", "only ")) end
  return "knows " .. count .. (count == "1" and " message" or " messages") .. recent
end

local function on_behalf_of(part)
  return part.on_behalf_of.given and (" for node %d"):format(part.on_behalf_of.given.value) or ""
end

--------------------------------------------------------------------------------------------------
-- The frames
--------------------------------------------------------------------------------------------------

-- A frame: its name, its parts, its words in the Info column after "node 9", and a check of what
-- its parts do not ensure one by one.
local function frame(name, parts, says, check)
  return { name = name, says = says, body = struct(parts, nil, nil, check) }
end

-- The numbers must be in range, and the path must lead from the origin to the sender in as many hops
-- as the rumor claims; in fewer where it was cut.
local function check_rumor(rumor, reader)
  local hops, relays, way = rumor.hops.value, rumor.relays.value, rumor.path
  if rumor.id.sequence.value == UInt64.new(0) then refuse("a message number 0") end
  if rumor.id.origin.value == 0 then refuse("a message of node 0") end
  if relays < 1 or relays > RELAYS_MAX then refuse("a relays limit of %d", relays) end
  local fit = hops == #way.nodes
  if way.cut then fit = hops > #way.nodes end
  if not fit then refuse("%d hops on the path %s", hops, trail(way)) end
  if way.first ~= rumor.id.origin.value then refuse("%s on the path %s", rumor.id.value, trail(way)) end
  if way.last ~= reader.sender then refuse("the path %s, sent by node %d", trail(way), reader.sender) end
end

local function say_rumor(rumor)
  local what = ("%s %s"):format(rumor.id.value, quoted(rumor.text.value))
  local how = rumor.repaired.value and ", repaired" or ""
  if rumor.hops.value == 1 then return ("sends its %s%s"):format(what, how) end
  return ("passes on %s%s, hop %d (%s)"):format(what, how, rumor.hops.value, trail(rumor.path))
end

local frames = {
  [0] = frame("rumor", {
    { "id", id },
    { "sent_at", time },
    { "relays", byte },
    { "repaired", flag },
    { "hops", u32 },
    { "path", path },
    { "text", text },
  }, say_rumor, check_rumor),
  [1] = frame("have", { { "range", list(id_range) } }, function(f)
    return ("asks: have you %s?"):format(enumerated(f.range, "nothing"))
  end),
  [2] = frame("got", { { "range", list(id_range) } }, function(f)
    return ("has %s"):format(enumerated(f.range, "nothing"))
  end),
  [3] = frame("want", { { "range", list(id_range) } }, function(f)
    return ("wants %s"):format(enumerated(f.range, "nothing"))
  end),
  [4] = frame("summary", known, how_much_is_known),
  [5] = frame("ranges", {
    { "summary", summary },
    { "page", page },
    { "held", list(id_range) },
    { "gone", list(id_range) },
  }, function(f)
    local gone = #f.gone > 0 and ("; gone are %s"):format(enumerated(f.gone)) or ""
    return ("lists what it holds: %s%s"):format(enumerated(f.held, "nothing"), gone)
  end),
  [6] = frame("offer", {
    { "summary", summary },
    { "page", page },
    { "wanting", flag },
    { "held", list(id_range) },
  }, function(f)
    local wanting = f.wanting.value and " and lacks some of what was listed" or ""
    return ("offers %s%s"):format(enumerated(f.held, "nothing"), wanting)
  end),
  [7] = frame("beat", {
    { "asking", flag },
    { "version", u32 },
    { "seen", u32 },
    { "heard", option(u32) },
  }, function(f)
    local does = f.asking.value and "asks for a link" or "keeps its link up"
    local heard = f.heard.given and f.heard.given.value
    if heard and heard < HEARD_LATELY_MS then return does end
    return does .. (heard and (", heard nothing for %d ms"):format(heard) or ", heard nothing yet")
  end),
  [8] = frame("neighbours", { { "version", u32 }, { "spare", flag }, { "peer", list(peer) } }, function(f)
    return ("is linked to %s"):format(nodes(f.peer, "nobody"))
  end),
  [9] = frame("unlink", {}, function() return "drops the link" end),
  [10] = frame("leave", {}, function() return "leaves the network" end),
  [11] = frame("probe", { { "on_behalf_of", option(peer) } }, function(f)
    return "asks for a sign of life" .. on_behalf_of(f)
  end),
  [12] = frame("answer", { { "on_behalf_of", option(peer) } }, function(f)
    return "gives a sign of life" .. on_behalf_of(f)
  end),
  [13] = frame("probe_for", { { "target", peer } }, function(f)
    return ("asks to have node %d probed"):format(f.target.value)
  end),
  [14] = frame("vouch", { { "node", node } }, function(f)
    return ("heard from node %d just now"):format(f.node.value)
  end),
  [15] = frame("shuffle", { { "peer", list(peer) }, { "answer", flag } }, function(f)
    return ("%s %s"):format(f.answer.value and "tells in turn of" or "tells of", nodes(f.peer, "nobody"))
  end),
  [16] = frame("component", {
    { "node", node },
    { "incarnation", u64 },
    { "beat", u32 },
    { "stable", flag },
  }, function(f)
    return ("belongs to the component of node %d"):format(f.node.value)
  end),
  [17] = frame("back_pressure", { { "wave", u64 } }, function()
    return "asks all to take in no new texts for a moment"
  end),
  [18] = frame("lacks", { { "range", list(id_range) } }, function(f)
    return ("lacks %s"):format(enumerated(f.range, "nothing"))
  end),
}

--------------------------------------------------------------------------------------------------
-- A datagram
--------------------------------------------------------------------------------------------------

-- The fields between the version and the frames, by the form of a datagram. `says` is for those
-- without frames.
local nonce = raw(16)
local headers = {
  [0] = {
    parts = { { "sender", node }, { "incarnation", life }, { "receiver", node }, { "initiator", nonce } },
    says = "says hello to node %d",
  },
  [1] = {
    parts = {
      { "sender", node },
      { "incarnation", life },
      { "receiver", node },
      { "initiator", nonce },
      { "responder", nonce },
    },
    says = "welcomes node %d",
  },
  [2] = {
    parts = {
      { "sender", node },
      { "incarnation", life },
      { "initiator", nonce },
      { "responder", nonce },
      { "counter", u64 },
    },
  },
  [3] = { parts = { { "sender", node }, { "session", raw(4) }, { "counter", u64 } } },
}

local function read_header(datagram, reader)
  datagram.form = read(byte, reader)
  local described = headers[datagram.form.value]
  if not described then refuse("a datagram of unknown form %d", datagram.form.value) end
  for _, part in ipairs(described.parts) do datagram[part[1]] = read(part[2], reader) end
  datagram.says = described.says
end

-- Reads the whole into `datagram`. If that ends early, `datagram` has the parts read so far. The order
-- of the checks is that of `header::read`.
local function read_datagram(datagram, reader)
  if reader.bytes:sub(1, #MAGIC) ~= MAGIC then refuse("it does not begin with 67 c5") end
  reader:take(#MAGIC)
  datagram.version = read(byte, reader)
  if datagram.version.value ~= VERSION then
    refuse("wire version %d; this dissector knows version %d", datagram.version.value, VERSION)
  end
  if reader.upto < reader.at + TAG_BYTES then refuse("it is too short for a tag") end
  reader.upto = reader.upto - TAG_BYTES
  read_header(datagram, reader)
  reader.sender = datagram.sender.value
  if datagram.says then
    if reader.at < reader.upto then refuse("a handshake with frames") end
    return
  end
  if reader.at == reader.upto then refuse("it has no frame") end
  while reader.at < reader.upto do
    datagram.started = reader.at
    local kind = read(u32, reader)
    local described = frames[kind.value]
    if not described then refuse("a frame of unknown kind %d, at byte %d", kind.value, kind.from) end
    local body = read(described.body, reader)
    body.from = kind.from
    datagram.frames[#datagram.frames + 1] = { kind = kind, described = described, body = body }
  end
end

-- Takes a datagram apart. Of its `length` bytes some may not have been captured. `problem` says what is
-- wrong with it, or is nil.
local function parse(bytes, length)
  local datagram = { frames = {}, started = 0 }
  local reader = setmetatable({ bytes = bytes, at = 0, upto = length }, Reader)
  local sound, problem = pcall(read_datagram, datagram, reader)
  if not sound then
    if type(problem) ~= "table" then error(problem, 0) end
    datagram.problem = problem
  end
  return datagram
end

-- One line for the Info column.
local function sentence(datagram)
  local problem = datagram.problem
  if problem and not problem.cut then return "malformed: " .. problem.reason end
  local phrases, bytes = {}, 0
  if datagram.says and datagram.receiver then
    phrases[1] = datagram.says:format(datagram.receiver.value)
  end
  for at, one in ipairs(datagram.frames) do
    local phrase = one.described.says(one.body)
    bytes = bytes + #phrase
    if at > 1 and bytes > INFO_BYTES then
      phrases[#phrases + 1] = ("… %d more"):format(#datagram.frames - at + 1)
      break
    end
    phrases[#phrases + 1] = phrase
  end
  if problem then phrases[#phrases + 1] = problem.reason end
  if not datagram.sender then return table.concat(phrases, "; ") end
  return ("node %d %s"):format(datagram.sender.value, table.concat(phrases, "; "))
end

--------------------------------------------------------------------------------------------------
-- The copies of a message
--------------------------------------------------------------------------------------------------

local messages -- By id and time: the copies of a message so far.
local copies -- By place in the capture: the copy there.
local numbers -- By address: the node that sends from there.

-- Called before a capture is read, and again before it is read anew.
function proto.init()
  messages, copies, numbers = {}, {}, {}
end

local function place(address, port)
  return ("%s %d"):format(tostring(address), port)
end

-- The copy of a message at this place. It is noted when the capture is read for the first time, so
-- that every later look at the packet says the same. Two networks may both have a message 8.1; the
-- two differ in their time.
local function copy_of(rumor, tvb, pinfo)
  local at = ("%d:%d"):format(pinfo.number, tvb:offset() + rumor.from)
  if copies[at] then return copies[at] end
  local name = rumor.id.value .. " " .. tostring(rumor.sent_at.value)
  local message = messages[name] or {}
  messages[name] = message
  local copy = { number = #message + 1, packet = pinfo.number, time = pinfo.rel_ts, message = message }
  message[copy.number] = copy
  copies[at] = copy
  return copy
end

-- A span of whole nanoseconds, as Wireshark has it: both parts have the sign.
local function span(ns)
  local sign, rest = ns < 0 and -1 or 1, math.abs(ns)
  local seconds = math.floor(rest / 1e9)
  return NSTime.new(sign * seconds, sign * math.floor(rest - seconds * 1e9))
end

for name, field in pairs({
  copy = { ProtoField.uint32, "Copy number in this capture" },
  first_seen_in = { ProtoField.framenum, "First seen in", base.NONE, frametype and frametype.NONE },
  next_seen_in = { ProtoField.framenum, "Next seen in", base.NONE, frametype and frametype.NONE },
  since_first_seen = { ProtoField.relative_time, "Since first seen" },
  since_sent = { ProtoField.relative_time, "Since sent" },
}) do
  local abbr = "gossip.rumor." .. name
  fields[abbr] = field[1](abbr, field[2], field[3], field[4])
end

-- Adds to a rumor's tree what this capture tells of its message.
local function show_copy(rumor, item, tvb, pinfo)
  local copy = copy_of(rumor, tvb, pinfo)
  local first, following = copy.message[1], copy.message[copy.number + 1]
  local function add(name, value) item:add(fields["gossip.rumor." .. name], value):set_generated() end
  add("copy", copy.number)
  if first ~= copy then
    add("first_seen_in", first.packet)
    add("since_first_seen", span(math.floor((copy.time - first.time) * 1e9 + 0.5)))
  end
  if following then add("next_seen_in", following.packet) end
  -- The time of capture comes as a double, which holds today's dates to some microsecond.
  local second = math.floor(pinfo.abs_ts)
  local microsecond = math.floor((pinfo.abs_ts - second) * 1e6 + 0.5)
  local sent = rumor.sent_at.value
  add("since_sent", span((second - sent.secs) * 1e9 + microsecond * 1e3 - sent.nsecs))
end

--------------------------------------------------------------------------------------------------
-- Wireshark
--------------------------------------------------------------------------------------------------

local kinds = {}
for kind, described in pairs(frames) do
  kinds[kind] = label(described.name)
  described.body.declare("gossip." .. described.name, described.name)
end
fields["gossip.magic"] = ProtoField.uint16("gossip.magic", "Magic", base.HEX)
fields["gossip.version"] = ProtoField.uint8("gossip.version", "Version")
fields["gossip.form"] =
  ProtoField.uint8("gossip.form", "Form", base.DEC, { [0] = "Hello", "Welcome", "Opening", "Session" })
for _, described in pairs(headers) do
  for _, part in ipairs(described.parts) do part[2].declare("gossip." .. part[1], part[1]) end
end
fields["gossip.kind"] = ProtoField.uint32("gossip.kind", "Kind", base.DEC, kinds)
fields["gossip.tag"] = ProtoField.bytes("gossip.tag", "Tag")

local all = {}
for _, field in pairs(fields) do all[#all + 1] = field end
proto.fields = all

local malformed = ProtoExpert.new(
  "gossip.malformed",
  "A node drops this datagram",
  expert.group.MALFORMED,
  expert.severity.ERROR
)
proto.experts = { malformed }

-- Only handshakes name their receiver. But a node sends from the address at which it listens.
local function show_receiver(datagram, tree, pinfo)
  if datagram.problem or pinfo.in_error_pkt then return end
  numbers[place(pinfo.net_src, pinfo.src_port)] = datagram.sender.value
  local receiver = numbers[place(pinfo.net_dst, pinfo.dst_port)]
  if receiver and not datagram.receiver then
    tree:add(fields["gossip.receiver"], receiver):set_generated()
  end
end

local function show_frame(one, tree, tvb, pinfo, whole)
  local described, body = one.described, one.body
  local abbr = "gossip." .. described.name
  local item = tree:add(fields[abbr], bytes_of(body, tvb))
  item:set_text(("%s: node %d %s"):format(label(described.name), whole.sender.value, described.says(body)))
  u32.show(one.kind, item, tvb, "gossip.kind")
  body.kind.show_parts(body, item, tvb, abbr)
  -- A datagram that a node drops is no copy, nor is one that an ICMP error quotes.
  local counts = not whole.problem and not pinfo.in_error_pkt
  if described.name == "rumor" and counts then show_copy(body, item, tvb, pinfo) end
end

local function show_problem(datagram, tree, tvb)
  local problem = datagram.problem
  local rest = tvb(math.min(datagram.started, tvb:len() - 1))
  if problem.cut then
    tree:add(rest, "Cut short: " .. problem.reason)
  else
    local says = "Malformed: " .. problem.reason
    tree:add(rest, says):add_proto_expert_info(malformed, says)
  end
end

local function show_tag(tree, tvb)
  local item = tree:add(fields["gossip.tag"], tvb(tvb:len() - TAG_BYTES, TAG_BYTES))
  item:append_text(" (not checked: the key is not in the capture)")
end

-- The parts of all forms, in the order in which each form has them.
local SHOWN_IN_ORDER = {
  "version",
  "form",
  "sender",
  "incarnation",
  "receiver",
  "initiator",
  "responder",
  "session",
  "counter",
}

-- Every datagram that begins with the magic is ours.
local function is_ours(tvb)
  return tvb:len() >= #MAGIC and tvb:raw(0, #MAGIC) == MAGIC
end

local displaced = {} -- By port: the dissector that had it before.

-- An error of another dissector is none of ours.
local function ask(other, tvb, pinfo, tree)
  local fine, said = pcall(other.call, other, tvb, pinfo, tree)
  if fine then return said end
  tree:add(tvb(), ("[%s: malformed packet]"):format(tostring(other)))
  return tvb:len()
end

function proto.dissector(tvb, pinfo, tree)
  local ours = is_ours(tvb)
  local other = not ours and displaced[pinfo.match]
  if other then return ask(other, tvb, pinfo, tree) end
  local datagram = parse(tvb:raw(), tvb:reported_len())
  local says = sentence(datagram)
  if not pinfo.in_error_pkt then
    pinfo.cols.protocol = "Gossip"
    pinfo.cols.info = says
  end
  local item = tree:add(proto, tvb(), "Gossip, " .. says)
  if ours then item:add(fields["gossip.magic"], tvb(0, #MAGIC)) end
  for _, name in ipairs(SHOWN_IN_ORDER) do
    local part = datagram[name]
    if part then part.kind.show(part, item, tvb, "gossip." .. name) end
  end
  show_receiver(datagram, item, pinfo)
  for _, one in ipairs(datagram.frames) do show_frame(one, item, tvb, pinfo, datagram) end
  if datagram.problem then show_problem(datagram, item, tvb) end
  -- In another version the tag may be elsewhere.
  if datagram.sender and tvb:len() == tvb:reported_len() then show_tag(item, tvb) end
  return tvb:len()
end

-- The magic tells our datagrams from others, on any port that no other protocol has.
proto:register_heuristic("udp", function(tvb, pinfo, tree)
  if not is_ours(tvb) then return false end
  proto.dissector(tvb, pinfo, tree)
  return true
end)

-- Some ports belong to other protocols, which Wireshark asks first: RX has 7001 to 7009. On the usual
-- ports of our networks we are asked first, and hand on what is not ours. For other ports there are
-- Decode As and the preference udp.try_heuristic_first.
local ports = DissectorTable.get("udp.port")
ports:add_for_decode_as(proto)
for port = 7001, 8000 do
  displaced[port] = ports:get_dissector(port)
  if displaced[port] then ports:add(port, proto) end
end
