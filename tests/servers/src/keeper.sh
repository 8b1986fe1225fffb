# Runs the server that many test processes share, and ends it when nobody has used it for a while.
# Input: a file on which each of them holds a shared lock and which each touches when it comes.
# Output: a file that is locked while the server is kept. Working folder: the server's.
# $1: seconds without a user. $2: the signal that ends the server. The rest: the command.
grace=$1 signal=$2
shift 2
folder=$PWD users=/proc/self/fd/0

end() {
    kill -s "$signal" "$server"
    tries=0
    while kill -s 0 "$server" 2>/dev/null && [ $((tries += 1)) -le 100 ]; do sleep 0.1; done
    kill -s KILL "$server" 2>/dev/null
    rm -rf "$folder"
    exit
}
trap end HUP INT TERM

: >seen
"$@" </dev/null >>log 2>&1 &
server=$!
echo "$server" >pid

idle=0
# The lock ends with this process, not with its last pause.
while sleep 1 >&-; do
    # Ended by itself: the folder stays until the next start, for its log.
    kill -s 0 "$server" 2>/dev/null || exit
    if [ $users -nt seen ] || ! flock --nonblock 0; then
        : >seen
        idle=0
        continue
    fi
    idle=$((idle + 1))
    # With the lock held: who comes now waits until all is gone, and starts anew.
    [ $idle -lt "$grace" ] || end
    flock --unlock 0
done
