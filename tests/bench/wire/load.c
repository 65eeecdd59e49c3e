/* load: a load generator that does not lie.
 *
 * Closed loop (--clients) for throughput: each client asks again as soon as it was
 * answered. Open loop (--rate) for latency: requests start on a fixed schedule and
 * their latency counts from the intended start, so a stalled server is not spared
 * the requests that would have come meanwhile. --once sends one request per client,
 * --requests ends after so many in all.
 * Every body is checked: status, length, a needle, the number and order of its marks
 * ("~" + 5 digits of sequence + 19 digits of CLOCK_MONOTONIC nanoseconds + "~").
 * Only 127.0.0.1 is ever called.
 *
 *   load --port N --path P [--method M] [--header H]... [--body TEXT] [--clients N]
 *        [--rate N] [--once 1] [--requests N] [--seconds S] [--warmup S] [--ramp S] [--grace S]
 *        [--marks N] [--expect NEEDLE] [--min-bytes N]
 *
 * Prints "open N" when every client has had its first body byte, and at the end (or
 * at SIGTERM) one JSON object. Times are microseconds; percentiles come from a
 * histogram with an error below 1 %.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 512, HEAD_ROOM = 8192, READ_ROOM = 1 << 18, MARK_DIGITS = 24, NEEDLE_ROOM = 64 };
enum { STEPS = 128, BUCKETS = 58 * STEPS };

enum state { IDLE, CONNECTING, HEAD, BODY };
enum framing { LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, UNTIL_CLOSE };

struct connection {
    int fd;
    enum state state;
    int64_t intended;
    size_t sent;
    char *head; size_t head_length;
    enum framing framing; size_t left; bool keep; int status;
    size_t body_length; int marks; bool broken_order, found;
    int digits; char mark[MARK_DIGITS];        /* -1 digits: outside a mark */
    char recent[NEEDLE_ROOM]; size_t recent_length;
    struct connection *next_idle; bool opened;
};

struct histogram { uint64_t count[BUCKETS], total, sum, max; };

static struct {
    int port, clients, marks, requests;
    long min_bytes;
    bool once;
    double rate, seconds, warmup, ramp, grace;
    const char *path, *method, *body, *expect;
    char headers[4096];
} options = {.clients = 1, .seconds = 5, .grace = 5, .path = "/", .method = "POST", .body = "", .expect = "", .port = 0};

static struct {
    uint64_t units, marks, units_timed, marks_timed, bytes, opened, started;
    uint64_t bad_status, bad_body, lost_marks, closed, refused, unfinished;
} tally;

static struct histogram latency, first_mark, mark_delay;
static char *request;
static size_t request_length;
static int poller;
static struct connection *idle;
static struct connection *all; static int made;
static int64_t begin_timed, end_timed, deadline;
static volatile sig_atomic_t stopped;
static char room[READ_ROOM];

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) { perror(what); exit(1); }

/* ---- figures ------------------------------------------------------------------ */

/* Exact below 128, then 128 steps per power of two. */
static int bucket_of(uint64_t value) {
    if (value < STEPS) return (int)value;
    int shift = 63 - __builtin_clzll(value) - 7;
    return (shift + 1) * STEPS + (int)((value >> shift) - STEPS);
}

static double middle_of(int bucket) {
    if (bucket < STEPS) return bucket;
    int shift = bucket / STEPS - 1;
    return ((double)(bucket % STEPS + STEPS) + 0.5) * (double)(1ULL << shift);
}

static void record(struct histogram *h, int64_t ns) {
    uint64_t value = ns < 0 ? 0 : (uint64_t)ns;
    h->count[bucket_of(value)]++;
    h->total++;
    h->sum += value;
    if (value > h->max) h->max = value;
}

static double percentile(const struct histogram *h, double share) {
    uint64_t rank = (uint64_t)(share * (double)h->total), seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += h->count[i]) > rank) return middle_of(i) / 1000;
    return (double)h->max / 1000;
}

static void print_histogram(const char *name, const struct histogram *h) {
    if (!h->total) { printf("\"%s\":null,", name); return; }
    printf("\"%s\":{\"count\":%llu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},", name,
           (unsigned long long)h->total, (double)h->sum / (double)h->total / 1000, percentile(h, .5), percentile(h, .9),
           percentile(h, .99), percentile(h, .999), (double)h->max / 1000);
}

static void print_result(void) {
    double seconds = (double)(end_timed - begin_timed) / 1e9;
    printf("{");
    print_histogram("latency", &latency);
    print_histogram("first", &first_mark);
    print_histogram("mark", &mark_delay);
    printf("\"seconds\":%.6f,\"started\":%lu,\"units\":%lu,\"units_timed\":%lu,\"marks\":%lu,\"marks_timed\":%lu,\"bytes\":%lu,"
           "\"opened\":%lu,\"bad_status\":%lu,\"bad_body\":%lu,\"lost_marks\":%lu,\"closed\":%lu,\"refused\":%lu,"
           "\"unfinished\":%lu}\n",
           seconds, tally.started, tally.units, tally.units_timed, tally.marks, tally.marks_timed, tally.bytes, tally.opened,
           tally.bad_status, tally.bad_body, tally.lost_marks, tally.closed, tally.refused, tally.unfinished);
}

/* ---- connections ---------------------------------------------------------------- */

/* Whether this moment belongs to the measured time; in the open loop the intended start decides. */
static bool timed(const struct connection *c, int64_t now) {
    int64_t moment = options.rate > 0 ? c->intended : now;
    return moment >= begin_timed && moment < end_timed;
}

static void watch(struct connection *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event) < 0) fail("epoll_ctl");
}

static void connect_to_server(struct connection *c) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    if ((c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) < 0) fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) fail("connect");
    c->state = CONNECTING;
    watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

static void hang_up(struct connection *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

/* Sends the request, or what is left of it. A break shows up at the next read. */
static void send_request(struct connection *c) {
    ssize_t n = send(c->fd, request + c->sent, request_length - c->sent, MSG_NOSIGNAL);
    if (n > 0) c->sent += n;
    c->state = HEAD;
    watch(c, c->sent < request_length ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

static void start(struct connection *c, int64_t intended) {
    c->intended = intended;
    c->sent = c->head_length = c->body_length = c->recent_length = 0;
    c->marks = 0;
    c->broken_order = c->found = false;
    c->digits = -1;
    tally.started++;
    if (c->fd < 0) connect_to_server(c);
    else send_request(c);
}

static void rest(struct connection *c) {
    c->state = IDLE;
    c->next_idle = idle;
    idle = c;
}

static bool spent(void) { return options.requests && tally.started >= (uint64_t)options.requests; }

/* What a client does after an answer or a failure. */
static void carry_on(struct connection *c, int64_t now) {
    bool enough = options.once || options.rate > 0 || stopped || spent() || now >= end_timed;
    if (enough) rest(c);
    else start(c, now);
}

static void give_up(struct connection *c, uint64_t *counter) {
    (*counter)++;
    if (options.marks > c->marks) tally.lost_marks += options.marks - c->marks;
    hang_up(c);
    carry_on(c, now_ns());
}

static bool body_is_right(const struct connection *c) {
    return c->found && !c->broken_order && c->marks == options.marks && (long)c->body_length >= options.min_bytes;
}

static void count_right(const struct connection *c, int64_t now) {
    tally.units++;
    if (!timed(c, now)) return;
    tally.units_timed++;
    record(&latency, now - c->intended);
}

/* Only right answers count as units and have a latency: an error is quickly given. */
static void finish(struct connection *c, int64_t now) {
    if (c->status != 200) tally.bad_status++;
    else if (!body_is_right(c)) tally.bad_body++;
    else count_right(c, now);
    if (c->status == 200 && options.marks > c->marks) tally.lost_marks += options.marks - c->marks;
    if (!c->keep) hang_up(c);
    carry_on(c, now);
}

/* ---- bodies --------------------------------------------------------------------- */

static void take_mark(struct connection *c, int64_t now) {
    int sequence = 0;
    int64_t sent = 0;
    for (int i = 0; i < 5; i++) sequence = sequence * 10 + c->mark[i] - '0';
    for (int i = 5; i < MARK_DIGITS; i++) sent = sent * 10 + c->mark[i] - '0';
    if (sequence != c->marks % 100000) c->broken_order = true;
    if (c->marks++ == 0 && timed(c, now)) record(&first_mark, now - c->intended);
    tally.marks++;
    if (!timed(c, now)) return;
    tally.marks_timed++;
    record(&mark_delay, now - sent);
}

/* Marks may be split anywhere between two reads or two pieces of a chunked body. */
static void find_marks(struct connection *c, const char *at, const char *end, int64_t now) {
    while (at < end) {
        if (c->digits < 0) {
            if (!(at = memchr(at, '~', end - at))) return;
            c->digits = 0;
        } else if (c->digits == MARK_DIGITS) {
            if (*at == '~') take_mark(c, now);
            c->digits = -1;
        } else if (*at >= '0' && *at <= '9') {
            c->mark[c->digits++] = *at;
        } else {
            c->digits = *at == '~' ? 0 : -1;
        }
        at++;
    }
}

/* The needle may be split as well: the end of what came before is kept and looked through together with the new. */
static void find_needle(struct connection *c, const char *at, size_t length) {
    size_t needle = strlen(options.expect), head = length < needle ? length : needle;
    char seam[2 * NEEDLE_ROOM];
    memcpy(seam, c->recent, c->recent_length);
    memcpy(seam + c->recent_length, at, head);
    c->found = c->found || memmem(seam, c->recent_length + head, options.expect, needle)
                        || memmem(at, length, options.expect, needle);
    if (length >= needle) {
        memcpy(c->recent, at + length - needle, c->recent_length = needle);
    } else {
        size_t joint = c->recent_length + length, keep = joint < needle ? joint : needle;
        memcpy(c->recent, seam + joint - keep, c->recent_length = keep);
    }
}

static void take_text(struct connection *c, const char *at, size_t length, int64_t now) {
    if (!c->opened) {
        c->opened = true;
        if (++tally.opened == (uint64_t)options.clients) { printf("open %lu\n", tally.opened); fflush(stdout); }
    }
    c->body_length += length;
    tally.bytes += length;
    if (options.marks) find_marks(c, at, at + length, now);
    if (!c->found) find_needle(c, at, length);
}

static int hex(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

/* Takes one step of a chunked body; returns how far it came. */
static const char *take_piece(struct connection *c, const char *at, const char *end, int64_t now, bool *done) {
    if (c->framing == CHUNK_DATA) {
        size_t n = (size_t)(end - at) < c->left ? (size_t)(end - at) : c->left;
        take_text(c, at, n, now);
        if (!(c->left -= n)) c->framing = CHUNK_END;
        return at + n;
    }
    if (c->framing == CHUNK_SIZE && *at != '\n') {
        if (*at != '\r') c->left = c->left * 16 + hex(*at);
    } else if (c->framing == CHUNK_SIZE) {
        c->framing = c->left ? CHUNK_DATA : TRAILER;
    } else if (*at == '\n') {
        *done = c->framing == TRAILER;
        c->framing = CHUNK_SIZE;
    }
    return at + 1;
}

static void take_body(struct connection *c, const char *at, size_t length, int64_t now) {
    const char *end = at + length;
    bool done = false;
    if (c->framing == LENGTH) {
        take_text(c, at, length, now);
        c->left -= length < c->left ? length : c->left;
        done = !c->left;
    } else if (c->framing == UNTIL_CLOSE) {
        take_text(c, at, length, now);
    } else {
        while (at < end && !done) at = take_piece(c, at, end, now, &done);
    }
    if (done) finish(c, now);
}

static const char *header(const char *head, const char *name) {
    const char *line = strcasestr(head, name);
    return line ? line + strlen(name) : NULL;
}

static void read_head(struct connection *c) {
    const char *length = header(c->head, "\ncontent-length:"), *coding = header(c->head, "\ntransfer-encoding:");
    const char *keep = header(c->head, "\nconnection:");
    c->status = atoi(c->head + 9);
    c->keep = !(keep && !strncasecmp(keep + (*keep == ' '), "close", 5));
    c->left = length ? strtoul(length, NULL, 10) : 0;
    c->framing = coding ? CHUNK_SIZE : length ? LENGTH : UNTIL_CLOSE;
    c->state = BODY;
}

static void take_head(struct connection *c, const char *at, size_t length, int64_t now) {
    size_t before = c->head_length, space = HEAD_ROOM - 1 - before, n = length < space ? length : space;
    if (!c->head) c->head = malloc(HEAD_ROOM);
    memcpy(c->head + before, at, n);
    c->head[c->head_length += n] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (c->head_length == HEAD_ROOM - 1) give_up(c, &tally.closed);
        return;
    }
    end[2] = 0;
    size_t taken = (size_t)(end + 4 - c->head) - before;
    read_head(c);
    if (length > taken || (c->framing == LENGTH && !c->left)) take_body(c, at + taken, length - taken, now);
}

static void end_of_connection(struct connection *c) {
    if (c->state == BODY && c->framing == UNTIL_CLOSE) { c->keep = false; finish(c, now_ns()); return; }
    give_up(c, c->state == CONNECTING ? &tally.refused : &tally.closed);
}

static void drop_idle(struct connection *c) {
    struct connection **link = &idle;
    while (*link != c) link = &(*link)->next_idle;
    *link = c->next_idle;
    hang_up(c);
    rest(c);
}

static void receive(struct connection *c) {
    ssize_t n = recv(c->fd, room, sizeof room, 0);
    int64_t now = now_ns();
    if (n < 0 && errno == EAGAIN) return;
    if (c->state == IDLE) drop_idle(c);
    else if (n <= 0) end_of_connection(c);
    else if (c->state == HEAD) take_head(c, room, n, now);
    else take_body(c, room, n, now);
}

/* ---- the schedule ----------------------------------------------------------------- */

static struct connection *spare(void) {
    struct connection *c = idle;
    if (c) { idle = c->next_idle; return c; }
    if (made == options.clients) return NULL;
    c = &all[made++];
    c->fd = -1;
    return c;
}

/* The time of the k-th start: clients come in over the ramp, open-loop requests at the rate. */
static int64_t start_time(int64_t zero, uint64_t k) {
    double gap = options.rate > 0 ? 1 / options.rate : options.ramp / options.clients;
    return zero + (int64_t)(gap * 1e9 * (double)k);
}

static bool more_to_start(uint64_t k, int64_t due) {
    if (stopped || spent()) return false;
    return options.rate > 0 ? due < end_timed : k < (uint64_t)options.clients;
}

/* Everything that was to be done is done. A start that is overdue still counts as to be done. */
static bool complete(uint64_t k, int64_t due) {
    int64_t now = now_ns();
    if (now >= deadline || stopped) return true;
    uint64_t settled = tally.units + tally.bad_status + tally.bad_body + tally.closed + tally.refused;
    return settled == tally.started && !more_to_start(k, due) && (options.once || spent() || now >= end_timed);
}

static void wait_for_events(int64_t until) {
    struct epoll_event events[EVENTS];
    int64_t wait = until - now_ns();
    if (wait < 0) wait = 0;
    if (wait > 50000000) wait = 50000000;
    struct timespec limit = {0, wait};
    int n = epoll_pwait2(poller, events, EVENTS, &limit, NULL);
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->state == CONNECTING && events[i].events & (EPOLLERR | EPOLLHUP)) end_of_connection(c);
        else if (c->state <= HEAD && events[i].events & EPOLLOUT && c->state != IDLE) send_request(c);
        else if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
    }
}

static void run(void) {
    int64_t zero = now_ns(), due = zero;
    begin_timed = zero + (int64_t)(options.warmup * 1e9);
    end_timed = begin_timed + (int64_t)(options.seconds * 1e9);
    deadline = end_timed + (int64_t)(options.grace * 1e9);
    for (uint64_t k = 0; !complete(k, due);) {
        while (more_to_start(k, due) && due <= now_ns()) {
            struct connection *c = spare();
            if (!c) break; /* open loop with all clients busy: the request starts late, its latency still counts from `due` */
            start(c, due);
            due = start_time(zero, ++k);
        }
        wait_for_events(more_to_start(k, due) && (idle || made < options.clients) ? due : deadline);
    }
    for (int i = 0; i < made && !stopped; i++)
        if (all[i].state != IDLE) {
            tally.unfinished++;
            tally.lost_marks += options.marks > all[i].marks ? options.marks - all[i].marks : 0;
        }
}

/* ---- the command line --------------------------------------------------------------- */

static void add_header(const char *line) {
    size_t used = strlen(options.headers);
    if (used + strlen(line) + 3 > sizeof options.headers) { fprintf(stderr, "load: too many headers\n"); exit(2); }
    sprintf(options.headers + used, "%s\r\n", line);
}

static bool take_option(const char *name, const char *value) {
    struct { const char *name; int *number; double *real; const char **text; } known[] = {
        {"--port", &options.port, NULL, NULL},         {"--clients", &options.clients, NULL, NULL},
        {"--marks", &options.marks, NULL, NULL},       {"--requests", &options.requests, NULL, NULL},
        {"--rate", NULL, &options.rate, NULL},         {"--seconds", NULL, &options.seconds, NULL},
        {"--warmup", NULL, &options.warmup, NULL},     {"--ramp", NULL, &options.ramp, NULL},
        {"--grace", NULL, &options.grace, NULL},       {"--path", NULL, NULL, &options.path},
        {"--method", NULL, NULL, &options.method},     {"--body", NULL, NULL, &options.body},
        {"--expect", NULL, NULL, &options.expect},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name)) continue;
        if (known[i].number) *known[i].number = atoi(value);
        else if (known[i].real) *known[i].real = atof(value);
        else *known[i].text = value;
        return true;
    }
    if (!strcmp(name, "--header")) add_header(value);
    else if (!strcmp(name, "--once")) options.once = atoi(value);
    else if (!strcmp(name, "--min-bytes")) options.min_bytes = atol(value);
    else return false;
    return true;
}

static void write_request(void) {
    size_t length = strlen(options.body);
    if (length) add_header("content-type: application/json");
    request_length = asprintf(&request, "%s %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n%scontent-length: %zu\r\n\r\n%s",
                              options.method, options.path, options.port, options.headers, length, options.body);
}

static void stop(int number) { (void)number; stopped = 1; }

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i += 2)
        if (i + 1 == argc || !take_option(argv[i], argv[i + 1])) {
            fprintf(stderr, "load: unknown or incomplete option %s\n", argv[i]);
            return 2;
        }
    if (!options.port || strlen(options.expect) >= NEEDLE_ROOM) { fprintf(stderr, "load: --port, --expect < 64\n"); return 2; }
    write_request();
    signal(SIGTERM, stop);
    all = calloc(options.clients, sizeof *all);
    if ((poller = epoll_create1(0)) < 0) fail("epoll_create1");
    run();
    print_result();
    return 0;
}
