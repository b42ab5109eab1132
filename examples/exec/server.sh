#!/bin/sh
# A shell program under prefork: it prepares what it needs, then another program serves.
#
#     prefork exec --bind 127.0.0.1:8000 --workers 3 -- ./server.sh {fd} {slot}

set -eu

GREETING="hello from slot $2"
export GREETING

echo "serving in slot $2"  # a line in prefork's log

# exec: the process stays the same, so the stop signal reaches the one that serves.
exec perl -e '
    $SIG{TERM} = sub { $stopping = 1; close $listener };  # finish the client, then leave
    open($listener, "+<&=", $ARGV[0]) or die "descriptor $ARGV[0]: $!";
    until ($stopping) {
        accept(my $client, $listener) or next;
        syswrite $client, "$$\n$ENV{GREETING}\n";
        close $client;
    }
' "$1"
