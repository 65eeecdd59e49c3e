/* mock: a provider that answers faster than anything it is measured with.
 *
 * One epoll loop, one thread, no allocation per chunk. It speaks the OpenAI wire
 * (chat, images, models) and the Qwen chat wire (chats/new, completions, tasks).
 * Every text carries marks of the form "~" + 5 digits of sequence + 19 digits of
 * CLOCK_MONOTONIC nanoseconds + "~", written just before the send, so that the load
 * generator on the same machine can tell how long each chunk was under way and
 * whether one was lost.
 *
 *   mock [--port N] [--chunks N] [--interval-ms N] [--text-bytes N] [--image-bytes N]
 *
 * The first line on standard output is the port. Listens on 127.0.0.1 only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MARK = 26, EVENTS = 512, ROOM = 2048, LARGEST_REQUEST = 64 << 20 };

struct options { int port, chunks, interval_ms, text_bytes, image_bytes; };

/* A prepared answer; `mark` is the offset of its mark, or -1. */
struct text { char *bytes; size_t length; long mark; };

/* The frames of one streaming wire. */
struct wire { struct text head, chunk, tail; };

struct connection {
    int fd;
    char *request; size_t used, room;
    const char *unsent; size_t unsent_length; char *owned;
    const struct wire *wire; int sequence; int64_t due;
    struct connection *before, *after; bool queued;
};

static struct options options = {0, 100, 0, 1024, 2 << 20};
static struct wire openai_wire, qwen_wire;
static struct text completion, image, models, qwen_models, chat_created, video_created, task_running, not_found;
static struct connection *first, *last; /* streams by due time: the interval is the same for all, so a queue is sorted */
static int poller;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) { perror(what); exit(1); }

/* ---- texts ---------------------------------------------------------------- */

static const char *const BLANK_MARK = "~000000000000000000000000~";

static struct text text_of(char *bytes, size_t length) {
    char *mark = memmem(bytes, length, BLANK_MARK, MARK);
    return (struct text){bytes, length, mark ? mark - bytes : -1};
}

static struct text join(const char *a, size_t a_length, const char *b, size_t b_length) {
    char *bytes = malloc(a_length + b_length);
    memcpy(bytes, a, a_length);
    memcpy(bytes + a_length, b, b_length);
    return text_of(bytes, a_length + b_length);
}

static struct text reply(const char *status, const char *body, size_t length) {
    char head[256];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n",
                     status, length);
    return join(head, n, body, length);
}

static struct text json(const char *body) { return reply("200 OK", body, strlen(body)); }

/* One piece of a chunked body. */
static struct text piece(const char *body) {
    char *bytes;
    int n = asprintf(&bytes, "%zx\r\n%s\r\n", strlen(body), body);
    return text_of(bytes, n);
}

static struct text stream_head(const char *body) {
    const char *head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
                       "transfer-encoding: chunked\r\n\r\n";
    struct text opening = piece(body);
    return join(head, strlen(head), opening.bytes, opening.length);
}

static struct text stream_tail(const char *body) {
    struct text closing = piece(body);
    return join(closing.bytes, closing.length, "0\r\n\r\n", 5);
}

#define OPENAI_CHUNK(choice) \
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\"," \
    "\"choices\":[" choice "]}\n\n"
#define QWEN_USAGE "\"usage\":{\"input_tokens\":9,\"output_tokens\":100,\"total_tokens\":109}"
#define QWEN_CHUNK(content, status) \
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"" content "\",\"phase\":\"answer\",\"status\":\"" status \
    "\"}}],\"response_id\":\"7b1f6a52-7a3c-4d1e-9d57-5f0b6c8e2a11\"," QWEN_USAGE "}\n\n"
#define CHAT_ID "0c2f8f4e-31d7-4a86-8e3b-6f8f2f0f9d10"
#define TEXT "~000000000000000000000000~ and twenty more letters"

static void prepare_streams(void) {
    openai_wire.head = stream_head(
        OPENAI_CHUNK("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}"));
    openai_wire.chunk = piece(OPENAI_CHUNK("{\"index\":0,\"delta\":{\"content\":\"" TEXT "\"},\"finish_reason\":null}"));
    openai_wire.tail = stream_tail(
        OPENAI_CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}")
        "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\","
        "\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":100,\"total_tokens\":109}}\n\n"
        "data: [DONE]\n\n");
    qwen_wire.head = stream_head(
        "data: {\"response.created\":{\"chat_id\":\"" CHAT_ID "\",\"parent_id\":\"p\",\"response_id\":"
        "\"7b1f6a52-7a3c-4d1e-9d57-5f0b6c8e2a11\",\"response_index\":\"0\"}}\n\n");
    qwen_wire.chunk = piece(QWEN_CHUNK(TEXT, "typing"));
    qwen_wire.tail = stream_tail(QWEN_CHUNK("end-of-answer", "finished"));
}

static char *filler(int length, char letter) {
    char *text = malloc(length + 1);
    memset(text, letter, length);
    text[length] = 0;
    return text;
}

static void prepare_answers(void) {
    char *body;
    if (asprintf(&body,
                 "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"bench\","
                 "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s%s end-of-answer\"},"
                 "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":100,\"total_tokens\":109}}",
                 BLANK_MARK, filler(options.text_bytes, 'x')) < 0) fail("asprintf");
    completion = json(body);
    /* Valid base64 whose last group is the needle the load generator looks for. */
    if (asprintf(&body, "{\"created\":1700000000,\"data\":[{\"b64_json\":\"%sYmVuY2gtZW5k\"}]}",
                 filler(options.image_bytes / 4 * 4, 'A')) < 0) fail("asprintf");
    image = json(body);
    models = json("{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\",\"created\":1700000000,"
                  "\"owned_by\":\"bench\"}]}");
    qwen_models = json("{\"data\":[{\"id\":\"bench\",\"name\":\"bench\",\"object\":\"model\",\"owned_by\":\"qwen\",\"info\":"
                       "{\"id\":\"bench\",\"name\":\"bench\",\"is_active\":true,\"meta\":{\"description\":\"bench\","
                       "\"max_context_length\":262144,\"capabilities\":{\"vision\":true},"
                       "\"chat_type\":[\"t2t\",\"t2i\",\"t2v\"]}}}]}");
    chat_created = json("{\"success\":true,\"request_id\":\"r\",\"data\":{\"id\":\"" CHAT_ID "\"}}");
    video_created = json("{\"success\":true,\"request_id\":\"r\",\"data\":{\"chat_id\":\"" CHAT_ID "\",\"parent_id\":\"p\","
                         "\"message_id\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"extra\":{\"wanx\":"
                         "{\"task_id\":\"5c1b7f0e-43c4-4bf0-9a0e-1f6f6f3f7a01\"}},\"done\":false,\"size\":\"16:9\"}]}}");
    task_running = json("{\"chat_type\":\"t2v\",\"task_status\":\"running\",\"message\":\"\",\"remaining_time\":\"\","
                        "\"content\":\"\",\"sub_chat_type\":null,\"duration\":null}");
    body = "{\"error\":{\"message\":\"no such path\"}}";
    not_found = reply("404 Not Found", body, strlen(body));
}

/* Writes sequence and time into a mark, in place: the text is sent at once, or copied. */
static void stamp(const struct text *text, int sequence) {
    char *digit = text->bytes + text->mark + MARK - 1;
    int64_t value = now_ns();
    for (int i = 0; i < 19; i++, value /= 10) *--digit = '0' + value % 10;
    for (int i = 0; i < 5; i++, sequence /= 10) *--digit = '0' + sequence % 10;
}

/* ---- the queue of open streams ---------------------------------------------- */

static void enqueue(struct connection *c) {
    c->before = last;
    c->after = NULL;
    if (last) last->after = c; else first = c;
    last = c;
    c->queued = true;
}

static void dequeue(struct connection *c) {
    if (!c->queued) return;
    if (c->before) c->before->after = c->after; else first = c->after;
    if (c->after) c->after->before = c->before; else last = c->before;
    c->queued = false;
}

/* ---- connections ------------------------------------------------------------ */

static void watch(struct connection *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event) < 0) fail("epoll_ctl");
}

static void forget(struct connection *c) {
    dequeue(c);
    close(c->fd);
    free(c->request);
    free(c->owned);
    free(c);
}

/* Sends what is left; true when nothing is. A connection that broke is noticed by the next read. */
static bool flush(struct connection *c) {
    ssize_t n = send(c->fd, c->unsent, c->unsent_length, MSG_NOSIGNAL);
    if (n < 0) n = 0;
    c->unsent += n;
    c->unsent_length -= n;
    if (c->unsent_length) return false;
    free(c->owned);
    c->owned = NULL;
    return true;
}

/* Sends a text; keeps the rest when the socket is full (a stamped text will change, so it is copied). */
static bool put(struct connection *c, const struct text *text) {
    c->unsent = text->bytes;
    c->unsent_length = text->length;
    if (flush(c)) return true;
    if (text->mark >= 0) {
        c->owned = malloc(c->unsent_length);
        memcpy(c->owned, c->unsent, c->unsent_length);
        c->unsent = c->owned;
    }
    watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    return false;
}

static void advance(struct connection *c) {
    dequeue(c);
    const struct wire *wire = c->wire;
    if (c->sequence == options.chunks) {
        c->wire = NULL;
        put(c, &wire->tail);
        return;
    }
    stamp(&wire->chunk, c->sequence++);
    c->due += options.interval_ms * 1000000LL;
    if (put(c, &wire->chunk)) enqueue(c);
}

/* Sends the next chunk at once; only then does the stream queue up, so that the queue stays sorted. */
static void advance_now(struct connection *c) {
    c->due = now_ns();
    advance(c);
}

static void start_stream(struct connection *c, const struct wire *wire) {
    c->wire = wire;
    c->sequence = 0;
    if (put(c, &wire->head)) advance_now(c);
}

/* ---- requests ----------------------------------------------------------------- */

static bool has(const char *body, size_t length, const char *word) { return memmem(body, length, word, strlen(word)); }

static bool wants_stream(const char *body, size_t length) {
    return has(body, length, "\"stream\":true") || has(body, length, "\"stream\": true");
}

static bool begins(const char *path, const char *prefix) { return !strncmp(path, prefix, strlen(prefix)); }

static void answer_completion(struct connection *c) {
    stamp(&completion, 0);
    put(c, &completion);
}

static void answer(struct connection *c, const char *path, const char *body, size_t length) {
    if (begins(path, "/api/v2/chats/new")) put(c, &chat_created);
    else if (begins(path, "/api/v2/chat/completions") && has(body, length, "\"t2v\"")) put(c, &video_created);
    else if (begins(path, "/api/v2/chat/completions")) start_stream(c, &qwen_wire);
    else if (begins(path, "/v1/images/")) put(c, &image);
    else if (begins(path, "/v1/models")) put(c, &models);
    else if (begins(path, "/api/models") || begins(path, "/api/v2/models")) put(c, &qwen_models);
    else if (strstr(path, "/task/status/") || strstr(path, "/tasks/status/")) put(c, &task_running);
    else if (begins(path, "/v1/chat/completions") && wants_stream(body, length)) start_stream(c, &openai_wire);
    else if (begins(path, "/v1/chat/completions") || begins(path, "/api/chat ")) answer_completion(c);
    else put(c, &not_found);
}

/* The whole request when it has come, else 0. Chunked requests are not spoken: every client here knows its length. */
static size_t whole_request(const struct connection *c, size_t *head) {
    char *end = memmem(c->request, c->used, "\r\n\r\n", 4);
    if (!end) return 0;
    *head = end - c->request + 4;
    char *length = NULL;
    for (char *line = c->request; line < end && !length; line = (char *)memchr(line, '\n', end + 2 - line) + 1)
        if (!strncasecmp(line, "content-length:", 15)) length = line + 15;
    size_t total = *head + (length ? strtoul(length, NULL, 10) : 0);
    return c->used >= total ? total : 0;
}

static void serve(struct connection *c) {
    size_t head, total = whole_request(c, &head);
    if (!total) return;
    char *path = memchr(c->request, ' ', head);
    if (!path) fail("request line");
    c->request[head - 1] = 0;
    c->used = 0;
    answer(c, path + 1, c->request + head, total - head);
}

/* Reads once; false when the peer has gone. */
static bool receive(struct connection *c) {
    if (c->room - c->used < ROOM) {
        c->room = c->room ? c->room * 2 : ROOM * 2;
        if (c->room > LARGEST_REQUEST) return false;
        c->request = realloc(c->request, c->room);
    }
    ssize_t n = recv(c->fd, c->request + c->used, c->room - c->used - 1, 0);
    if (n <= 0) return n < 0 && errno == EAGAIN;
    c->used += n;
    c->request[c->used] = 0;
    serve(c);
    return true;
}

static void resume(struct connection *c) {
    if (!c->unsent_length || !flush(c)) return;
    watch(c, EPOLLIN, EPOLL_CTL_MOD);
    if (c->wire) advance_now(c);
}

static void welcome(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        watch(c, EPOLLIN, EPOLL_CTL_ADD);
    }
}

/* ---- the loop ----------------------------------------------------------------- */

static int listen_on(int *port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, size) < 0) fail("bind");
    if (listen(fd, 4096) < 0) fail("listen");
    getsockname(fd, (struct sockaddr *)&address, &size);
    *port = ntohs(address.sin_port);
    return fd;
}

/* One chunk for every stream that is due now, oldest first. */
static void send_due(void) {
    int64_t now = now_ns();
    struct connection *stop = last;
    while (first && first->due <= now) {
        struct connection *c = first;
        advance(c);
        if (c == stop) break;
    }
}

static void wait_and_serve(int listener) {
    struct epoll_event events[EVENTS];
    struct timespec limit, *timeout = NULL;
    if (first) {
        int64_t wait = first->due - now_ns();
        if (wait < 0) wait = 0;
        limit = (struct timespec){wait / 1000000000, wait % 1000000000};
        timeout = &limit;
    }
    int n = epoll_pwait2(poller, events, EVENTS, timeout, NULL);
    if (n < 0 && errno != EINTR) fail("epoll_pwait2");
    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) { welcome(listener); continue; }
        if (events[i].events & EPOLLOUT) resume(c);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !receive(c)) forget(c);
    }
    send_due();
}

static void read_options(int argc, char **argv) {
    struct { const char *name; int *value; } known[] = {
        {"--port", &options.port}, {"--chunks", &options.chunks}, {"--interval-ms", &options.interval_ms},
        {"--text-bytes", &options.text_bytes}, {"--image-bytes", &options.image_bytes},
    };
    for (int i = 1; i < argc; i += 2) {
        int *value = NULL;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            if (!strcmp(argv[i], known[k].name)) value = known[k].value;
        if (!value || i + 1 == argc) { fprintf(stderr, "mock: unknown or incomplete option %s\n", argv[i]); exit(2); }
        *value = atoi(argv[i + 1]);
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    prepare_streams();
    prepare_answers();
    if ((poller = epoll_create1(0)) < 0) fail("epoll_create1");
    int listener = listen_on(&options.port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");
    printf("%d\n", options.port);
    fflush(stdout);
    for (;;) wait_and_serve(listener);
}
