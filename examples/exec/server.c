/* A program in C under prefork: echoes, one client at a time.
 *
 *     cc -O2 -o server server.c
 *     prefork exec --bind 127.0.0.1:8000 --workers 1..4 -- ./server {fd}
 *
 * The listening socket is the descriptor that the first argument names.  What it sends to
 * NOTIFY_SOCKET is optional, and needs no library: READY=1, WATCHDOG=1 twice in each period,
 * BUSY=n while n clients are served, STATUS=... for people.  On SIGTERM it finishes its client.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static volatile sig_atomic_t stopping;
static struct timespec half_period = {.tv_sec = 3600};

static void stop(int signum) { (void)signum; stopping = 1; }

/* Tell prefork, or systemd, how we are: one datagram to the socket in NOTIFY_SOCKET. */
static void notify(const char *text) {
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (name == NULL || strlen(name) >= sizeof address.sun_path) return;
    strcpy(address.sun_path, name);
    if (name[0] == '@') address.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + strlen(name);
    if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address, length) < 0)
        perror("notify");
    close(fd);
}

/* Wait until there is something to read, and report to the watchdog meanwhile.
 * SIGTERM is delivered only here, and ends the wait if interruptible. */
static int wait_for(int fd, int interruptible) {
    sigset_t none;
    sigemptyset(&none);
    while (!(interruptible && stopping)) {
        struct pollfd watched = {.fd = fd, .events = POLLIN};
        int ready = ppoll(&watched, 1, &half_period, &none);
        notify("WATCHDOG=1");
        if (ready > 0) return 1;
        if (ready < 0 && errno != EINTR) return 0;
    }
    return 0;
}

static void serve(int client) {
    char buffer[4096];
    ssize_t size = snprintf(buffer, sizeof buffer, "%d\n", (int)getpid());
    do {
        if (size >= 4 && memcmp(buffer, "hang", 4) == 0) for (;;) pause();
        if (send(client, buffer, size, MSG_NOSIGNAL) < 0) break;
    } while (wait_for(client, 0) && (size = read(client, buffer, sizeof buffer)) > 0);
}

int main(int count, char **arguments) {
    int listener = count > 1 ? atoi(arguments[1]) : 3;
    const char *period = getenv("WATCHDOG_USEC");
    if (period != NULL) {
        long half = atol(period) / 2;
        half_period = (struct timespec){.tv_sec = half / 1000000, .tv_nsec = half % 1000000 * 1000};
    }
    /* The socket is shared: another worker may be faster than our accept, which must not block. */
    if (fcntl(listener, F_SETFL, O_NONBLOCK) < 0) {
        perror("listener");
        return 1;
    }
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);

    notify("READY=1\nBUSY=0\nSTATUS=waiting for the first client");
    for (unsigned long served = 0; wait_for(listener, 1);) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0) continue;
        notify("BUSY=1");
        serve(client);
        close(client);
        char text[64];
        snprintf(text, sizeof text, "BUSY=0\nSTATUS=%lu clients served", ++served);
        notify(text);
    }
    notify("STOPPING=1");
    return 0;
}
