/* A load generator: one thread, epoll; closed loops, and an open one.
 *
 *   load conn PORT CLIENTS SECONDS   connect, send 64 bytes, receive 64, close; again
 *   load held PORT CLIENTS SECONDS   connect once; send 64 bytes, receive 64; again
 *   load ask  PORT CLIENTS SECONDS   connect, receive 16 bytes with the server's process id,
 *                                    send 64 bytes, receive 64, close; again
 *   load open PORT RATE SECONDS      as conn, but RATE times a second at random moments (Poisson),
 *                                    however long the answers take; one in fifty asks "slow".
 *                                    Durations count from the moment that was due, and are those
 *                                    of the others
 *
 * Begins nothing more after SECONDS or SIGTERM, finishes what has begun, and prints one JSON object: the operations completed, the
 * percentiles of their durations, and of each one that failed the process id it had been told
 * (0: none yet) and when it failed.  Times are seconds, moments those of CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 64, GREETING = 16, CLIENTS_LIMIT = 1024, FAILURES_LIMIT = 10000 };
#define PATIENCE INT64_C(2000000000) /* to finish what has begun when the time is up */
enum mode { CONN, HELD, ASK, OPEN };

struct client {
	int fd;
	int greeted; /* the server's process id has been read, or is not expected */
	int received; /* bytes of the greeting or the answer so far */
	int pid;
	int slow; /* it asked for a slow answer */
	int64_t begun;
	char data[MESSAGE + 1];
};

struct failure {
	int pid;
	int64_t at;
};

static enum mode mode;
static struct sockaddr_in server;
static int epoll;
static struct client clients[CLIENTS_LIMIT];
static struct failure failures[FAILURES_LIMIT];
static int failed;
static int64_t operations, timed;
static int busy; /* clients that have begun and not ended */
static volatile sig_atomic_t stopped;

static int64_t now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Durations are counted in buckets: 128 for each power of two, so within 1 %. */
enum { SUB = 7, BUCKETS = 64 << SUB };
static int64_t histogram[BUCKETS];

static int bucket(int64_t duration)
{
	int shift = 0;
	while (duration >> shift >= 2 << SUB)
		shift++;
	return (shift << SUB) + (int)(duration >> shift);
}

static double percentile(double part)
{
	int64_t left = (int64_t)(timed * part);
	for (int i = 0; i < BUCKETS; i++)
		if ((left -= histogram[i]) < 0) {
			int shift = i < 2 << SUB ? 0 : (i >> SUB) - 1;
			return (double)((int64_t)(i - (shift << SUB)) << shift) / 1e9;
		}
	return 0;
}

static void fail(struct client *client)
{
	if (failed < FAILURES_LIMIT)
		failures[failed++] = (struct failure){client->pid, now()};
	if (failed == FAILURES_LIMIT)
		stopped = 1;
}

static int ask(struct client *client)
{
	static const char fast[MESSAGE] = "ping", slow[MESSAGE] = "slow";
	client->received = 0;
	return send(client->fd, client->slow ? slow : fast, MESSAGE, MSG_NOSIGNAL) == MESSAGE;
}

/* Connecting blocks, which takes no time on the loopback while the accept queue has room.
 * The clients' addresses vary, so ports in TIME_WAIT never run out. */
static int connected(struct client *client)
{
	static uint32_t turn;
	struct sockaddr_in own = {.sin_family = AF_INET};
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
	int yes = 1;

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	client->pid = client->received = 0;
	client->greeted = mode != ASK;
	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + turn++ % 200);
	setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
	return !bind(client->fd, (struct sockaddr *)&own, sizeof own)
	       && !connect(client->fd, (struct sockaddr *)&server, sizeof server)
	       && (mode == ASK || ask(client))
	       && !epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
}

static void begin(struct client *client)
{
	while (!stopped && mode != OPEN) {
		client->begun = now();
		if (connected(client)) {
			busy++;
			return;
		}
		fail(client);
		close(client->fd);
	}
}

/* Begins what is due in the open loop; returns when the next one is. */
static int64_t begin_due(double rate)
{
	static int64_t next;
	static int last;
	if (!next)
		next = now();
	while (!stopped && next <= now()) {
		struct client *client = 0;
		for (int i = 0; i < CLIENTS_LIMIT && !client; i++) {
			last = (last + 1) % CLIENTS_LIMIT;
			if (clients[last].fd < 0)
				client = &clients[last];
		}
		if (!client)
			return next; /* all are busy: it is late then */
		client->begun = next;
		client->slow = drand48() < 0.02;
		if (connected(client))
			busy++;
		else {
			fail(client);
			close(client->fd);
			client->fd = -1;
		}
		next += (int64_t)(-log(1 - drand48()) / rate * 1e9);
	}
	return next;
}

static void end(struct client *client)
{
	close(client->fd);
	client->fd = -1;
	busy--;
}

/* Returns whether the client goes on with the connection it has. */
static int advance(struct client *client)
{
	int wanted = client->greeted ? MESSAGE : GREETING;
	ssize_t count = recv(client->fd, client->data + client->received,
	                     wanted - client->received, MSG_DONTWAIT);
	if (count < 0 && errno == EAGAIN)
		return 1;
	if (count <= 0) {
		fail(client);
		return 0;
	}
	client->received += count;
	if (client->received < wanted)
		return 1;
	if (!client->greeted) {
		client->data[wanted] = 0;
		client->pid = atoi(client->data);
		client->greeted = 1;
		if (ask(client))
			return 1;
		fail(client);
		return 0;
	}
	int64_t moment = now();
	operations++;
	if (!client->slow)
		histogram[bucket(moment - client->begun)]++, timed++;
	if (mode != HELD || stopped)
		return 0;
	client->begun = moment;
	if (ask(client))
		return 1;
	fail(client);
	return 0;
}

static void report(double seconds)
{
	printf("{\"ops\": %lld, \"errors\": %d, \"seconds\": %.6f, \"p50\": %.7f, \"p99\": %.7f, ",
	       (long long)operations, failed, seconds, percentile(0.5), percentile(0.99));
	printf("\"failures\": [");
	for (int i = 0; i < failed; i++)
		printf("%s[%d, %.6f]", i ? ", " : "", failures[i].pid, failures[i].at / 1e9);
	printf("]}\n");
}

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

int main(int argc, char **argv)
{
	struct epoll_event events[64];
	if (argc != 5)
		return 2;
	mode = strcmp(argv[1], "conn") == 0   ? CONN
	       : strcmp(argv[1], "held") == 0 ? HELD
	       : strcmp(argv[1], "open") == 0 ? OPEN
	                                      : ASK;
	server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int count = mode == OPEN ? 0 : atoi(argv[3]);
	double rate = atof(argv[3]);
	if (rate <= 0 || count > CLIENTS_LIMIT)
		return 2;
	for (int i = 0; i < CLIENTS_LIMIT; i++)
		clients[i].fd = -1;
	signal(SIGTERM, stop);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	int64_t start = now(), due = start + (int64_t)(atof(argv[4]) * 1e9);
	for (int i = 0; i < count; i++)
		begin(&clients[i]);
	/* What has begun is finished: to close before the answer is read would reset. */
	while ((busy || (mode == OPEN && !stopped)) && now() < due + PATIENCE) {
		struct timespec wait = {.tv_nsec = 20000000};
		if (mode == OPEN) {
			int64_t left = begin_due(rate) - now();
			wait.tv_nsec = left < 0 ? 0 : left < wait.tv_nsec ? left : wait.tv_nsec;
		}
		int ready = epoll_pwait2(epoll, events, 64, &wait, 0);
		for (int i = 0; i < ready; i++) {
			struct client *client = events[i].data.ptr;
			if (!advance(client)) {
				end(client);
				begin(client);
			}
		}
		if (stopped && now() < due)
			due = now();
		if (now() >= due)
			stopped = 1;
	}
	report((now() - start) / 1e9);
	return 0;
}
