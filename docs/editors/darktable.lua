-- Restores photos from darktable's export module: choose "restore focus" as target storage.
--
-- The photo is exported with all your edits, restored, put beside the original as NAME_restored
-- and grouped with it. Written for the Lua interface 9 of darktable 4.2; for Linux and macOS.

local dt = require "darktable"

-- The whole path if darktable does not find it, such as /home/me/.local/bin/defocusfix
local COMMAND = "defocusfix"

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function is_taken(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function free_name(image, suffix)
  local start = image.path .. "/" .. image.filename:gsub("%.[^.]*$", "") .. "_restored"
  local name, number = start .. suffix, 1
  while is_taken(name) do
    number = number + 1
    name = start .. "-" .. number .. suffix
  end
  return name
end

local function restore(storage, image, format, exported, number, total)
  local restored = free_name(image, exported:match("%.[^.]*$"))
  dt.print(string.format("restoring %d of %d: %s", number, total, image.filename))
  local words = { COMMAND, "restore", quoted(exported), "-o", quoted(restored) }
  local status = dt.control.execute(table.concat(words, " "))
  os.remove(exported)
  if status == 0 then
    dt.database.import(restored):group_with(image.group_leader)
  else
    dt.print(image.filename .. " was not restored; start darktable in a terminal to see why")
  end
end

dt.register_storage("defocusfix", "restore focus", restore)
