# Ends a private server whose owner died without doing so, and removes its folder.
# Input: a pipe whose other end the owner holds; `leave` on it ends the watch. $1: the signal that ends the server. $2: its folder.
signal=$1 folder=$2

read -r word
[ "$word" != leave ] || exit 0
# An owner who had the time left nothing.
[ -d "$folder" ] || exit 0

server=$(cat "$folder/pid" 2>/dev/null)
# The number alone may be another process by now.
if grep -qsF "$folder" "/proc/$server/cmdline"; then
    kill -s "$signal" "$server"
    kill -s CONT "$server"
    tries=0
    while kill -s 0 "$server" 2>/dev/null && [ $((tries += 1)) -le 100 ]; do sleep 0.1; done
    kill -s KILL "$server" 2>/dev/null
fi
rm -rf "$folder"
