// Program: hiredis
// Needs: apt libhiredis-dev=0.14
// Needs: apt libevent-dev=2.1
// Build: python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$BUILD" hiredis==3.5.0; tar xzf "$BUILD/hiredis-3.5.0.tar.gz" -C "$BUILD"; new="$BUILD/hiredis-3.5.0/vendor"; for main in "cc -o $BUILD/old $FILE -lhiredis" "cc -I$new -o $BUILD/new $FILE $new/hiredis/alloc.c $new/hiredis/async.c $new/hiredis/hiredis.c $new/hiredis/net.c $new/hiredis/read.c $new/hiredis/sds.c $new/hiredis/sockcompat.c"; do $main -Wall -Wno-unused-function -D_GNU_SOURCE -levent; done
// Run: "$BUILD/old"; "$BUILD/new"
// Exercises: replies of each kind, pipelines, timeouts, reconnection; with libevent: commands, subscriptions, transactions, a thousand at once; with the 1.5 that hiredis-py carries: RESP3, messages pushed in between, client-side caching
//
// The library in C below many others, as Debian ships it, and as it is today.
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <event2/event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int asserted;

#define same(what, holds) same_at(what, (holds), __LINE__)
static void same_at(const char *what, int holds, int line) {
    if (!holds) {
        fprintf(stderr, "line %d: %s\n", line, what);
        exit(1);
    }
    asserted++;
}

static int port(void) { return atoi(getenv("PORT")); }

static redisContext *connected(void) {
    redisContext *c = redisConnect("127.0.0.1", port());
    same("connects", c != NULL && c->err == 0);
    return c;
}

// What a command answers is of a type, and, of those with a text, this one.
static void text(redisContext *c, int type, const char *expected, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(c, format, arguments);
    va_end(arguments);
    if (reply == NULL || reply->type != type || (expected && strcmp(reply->str, expected)))
        fprintf(stderr, "%s: %d %s\n", format, reply ? reply->type : -1, reply && reply->str ? reply->str : "");
    same(format, reply != NULL && reply->type == type && (!expected || !strcmp(reply->str, expected)));
    freeReplyObject(reply);
}

static long long number(redisContext *c, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(c, format, arguments);
    va_end(arguments);
    same(format, reply != NULL && reply->type == REDIS_REPLY_INTEGER);
    long long value = reply->integer;
    freeReplyObject(reply);
    return value;
}

static void replies(void) {
    redisContext *c = connected();
    text(c, REDIS_REPLY_STATUS, "OK", "FLUSHALL");
    text(c, REDIS_REPLY_STATUS, "OK", "SET %s %b", "key", "a\0b", (size_t)3);
    redisReply *reply = redisCommand(c, "GET key");
    same("a value with a NUL", reply->type == REDIS_REPLY_STRING && reply->len == 3 && !memcmp(reply->str, "a\0b", 3));
    freeReplyObject(reply);
    text(c, REDIS_REPLY_NIL, NULL, "GET none");
    text(c, REDIS_REPLY_ERROR, "WRONGTYPE Operation against a key holding the wrong kind of value", "LPUSH key x");
    text(c, REDIS_REPLY_ERROR, "ERR unknown command 'NOSUCH', with args beginning with: 'a b' ", "NOSUCH %s", "a b");
    same("an integer", number(c, "INCRBY n %lld", 1LL << 62) == 1LL << 62);
    const char *words[] = {"RPUSH", "list", "one", "", "th ree"};
    const size_t lengths[] = {5, 4, 3, 0, 6};
    reply = redisCommandArgv(c, 5, words, lengths);
    same("by an array of words", reply->integer == 3);
    freeReplyObject(reply);
    reply = redisCommand(c, "LRANGE list 0 -1");
    same("an array", reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 && !strcmp(reply->element[2]->str, "th ree") && reply->element[1]->len == 0);
    freeReplyObject(reply);
    // Replies within replies, and an error that is an element.
    redisAppendCommand(c, "MULTI");
    redisAppendCommand(c, "LPUSH key x");
    redisAppendCommand(c, "LMPOP 1 list LEFT COUNT 2");
    redisAppendCommand(c, "EXEC");
    for (int n = 0; n < 3; n++) {
        same("queued", redisGetReply(c, (void **)&reply) == REDIS_OK && reply->type == REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
    same("a transaction", redisGetReply(c, (void **)&reply) == REDIS_OK && reply->elements == 2);
    same("an error in it", reply->element[0]->type == REDIS_REPLY_ERROR);
    same("nested arrays", reply->element[1]->element[1]->elements == 2 && !strcmp(reply->element[1]->element[0]->str, "list"));
    freeReplyObject(reply);
    // A long pipeline, with values that do not fit any buffer in between.
    size_t size = 3 << 20;
    char *large = malloc(size);
    memset(large, 'x', size);
    for (int n = 0; n < 20000; n++) redisAppendCommand(c, "INCR counter");
    redisAppendCommand(c, "SET large %b", large, size);
    redisAppendCommand(c, "GET large");
    for (int n = 1; n <= 20000; n++) {
        if (redisGetReply(c, (void **)&reply) != REDIS_OK || reply->integer != n) same("in order", 0);
        freeReplyObject(reply);
    }
    redisGetReply(c, (void **)&reply);
    freeReplyObject(reply);
    redisGetReply(c, (void **)&reply);
    same("a large value", reply->len == size && !memcmp(reply->str, large, size));
    freeReplyObject(reply);
    free(large);
    // Scripts.
    text(c, REDIS_REPLY_STRING, "key argument", "EVAL %s 1 key argument", "return KEYS[1] .. ' ' .. ARGV[1]");
    text(c, REDIS_REPLY_ERROR, "NOSCRIPT No matching script. Please use EVAL.", "EVALSHA %s 0", "0123456789012345678901234567890123456789");
    // It gives up when a reply is late, and connects again.
    struct timeval soon = {0, 50000};
    redisSetTimeout(c, soon);
    same("late", redisCommand(c, "BLPOP none 5") == NULL && c->err == REDIS_ERR_IO);
    same("again", redisReconnect(c) == REDIS_OK);
    struct timeval later = {20, 0};
    redisSetTimeout(c, later);
    // Another client ends the connection.
    long long id = number(c, "CLIENT ID");
    redisContext *other = connected();
    same("killed", number(other, "CLIENT KILL ID %lld", id) == 1);
    same("the end", redisCommand(c, "PING") == NULL && (c->err == REDIS_ERR_EOF || c->err == REDIS_ERR_IO));
    same("again", redisReconnect(c) == REDIS_OK);
    text(c, REDIS_REPLY_STATUS, "PONG", "PING");
    redisFree(other);
    redisFree(c);
    c = redisConnectWithTimeout("127.0.0.1", 1, later);
    same("nobody there", c->err == REDIS_ERR_IO);
    redisFree(c);
}

// What ties it to libevent. The adapter that Debian ships fits only its own version.
typedef struct Events {
    redisAsyncContext *context;
    struct event *readable, *writable;
} Events;

static void on_readable(evutil_socket_t fd, short event, void *events) { redisAsyncHandleRead(((Events *)events)->context); }
static void on_writable(evutil_socket_t fd, short event, void *events) { redisAsyncHandleWrite(((Events *)events)->context); }
static void add_read(void *events) { event_add(((Events *)events)->readable, NULL); }
static void del_read(void *events) { event_del(((Events *)events)->readable); }
static void add_write(void *events) { event_add(((Events *)events)->writable, NULL); }
static void del_write(void *events) { event_del(((Events *)events)->writable); }
static void cleanup(void *events) {
    event_free(((Events *)events)->readable);
    event_free(((Events *)events)->writable);
    free(events);
}

static struct event_base *base;
static int connects, disconnects;

static void on_connect(const redisAsyncContext *c, int status) {
    same("connects", status == REDIS_OK);
    connects++;
}
static void on_disconnect(const redisAsyncContext *c, int status) { disconnects++; }

static redisAsyncContext *attached(void) {
    redisAsyncContext *c = redisAsyncConnect("127.0.0.1", port());
    same("begins to connect", c != NULL && c->err == 0);
    Events *events = malloc(sizeof *events);
    events->context = c;
    events->readable = event_new(base, c->c.fd, EV_READ | EV_PERSIST, on_readable, events);
    events->writable = event_new(base, c->c.fd, EV_WRITE | EV_PERSIST, on_writable, events);
    c->ev.data = events;
    c->ev.addRead = add_read, c->ev.delRead = del_read, c->ev.addWrite = add_write, c->ev.delWrite = del_write, c->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(c, on_connect);
    redisAsyncSetDisconnectCallback(c, on_disconnect);
    add_read(events);
    add_write(events);
    return c;
}

static redisAsyncContext *publisher, *subscriber;
static int messages, pattern_messages, counted, unsubscribed;

static void on_count(redisAsyncContext *c, void *reply, void *expected) {
    same("in order", reply != NULL && ((redisReply *)reply)->integer == (long)expected);
    counted++;
}

static void on_nothing(redisAsyncContext *c, void *reply, void *what) {}

static void on_message(redisAsyncContext *c, void *got, void *what) {
    redisReply *reply = got;
    if (reply == NULL) return;  // The connection has ended.
    same("three or four words", reply->elements == 3 || reply->elements == 4);
    const char *kind = reply->element[0]->str;
    if (!strcmp(kind, "psubscribe")) {
        // The last subscription stands: now somebody else speaks.
        for (int n = 0; n < 100; n++) redisAsyncCommand(publisher, on_count, (void *)2, "PUBLISH news %d", n);
    } else if (!strcmp(kind, "message")) {
        char expected[8];
        sprintf(expected, "%d", messages++);
        same("messages in order", !strcmp(reply->element[2]->str, expected));
    } else if (!strcmp(kind, "pmessage")) {
        if (++pattern_messages == 100) {
            redisAsyncCommand(subscriber, on_nothing, NULL, "UNSUBSCRIBE");
            redisAsyncCommand(subscriber, on_nothing, NULL, "PUNSUBSCRIBE n*");
        }
    } else if (strstr(kind, "unsubscribe") && ++unsubscribed == 2) {
        redisAsyncDisconnect(subscriber);
        redisAsyncDisconnect(publisher);
    }
}

static void on_exec(redisAsyncContext *c, void *got, void *what) {
    redisReply *reply = got;
    same("a transaction", reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && !strcmp(reply->element[1]->str, "v"));
}

static void on_killed(redisAsyncContext *c, void *reply, void *what) {
    same("no reply when the connection ends", reply == NULL);
    counted++;
}

static void events(void) {
    base = event_base_new();
    publisher = attached();
    subscriber = attached();
    for (long n = 1; n <= 1000; n++) redisAsyncCommand(publisher, on_count, (void *)n, "INCR async");
    redisAsyncCommand(publisher, on_nothing, NULL, "MULTI");
    redisAsyncCommand(publisher, on_nothing, NULL, "SET k v");
    redisAsyncCommand(publisher, on_nothing, NULL, "GET k");
    redisAsyncCommand(publisher, on_exec, NULL, "EXEC");
    redisAsyncCommand(subscriber, on_message, NULL, "SUBSCRIBE news");
    redisAsyncCommand(subscriber, on_message, NULL, "PSUBSCRIBE n*");
    event_base_dispatch(base);
    same("all messages", messages == 100 && pattern_messages == 100 && counted == 1100);
    same("both have ended", connects == 2 && disconnects == 2);
    // One that waits while another client ends its connection.
    counted = 0;
    redisAsyncContext *waiting = attached();
    redisAsyncCommand(waiting, on_nothing, NULL, "CLIENT SETNAME waiting");
    redisAsyncCommand(waiting, on_killed, NULL, "BLPOP none 0");
    redisContext *c = connected();
    for (;;) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        redisReply *info = redisCommand(c, "INFO clients");
        int blocked = strstr(info->str, "blocked_clients:1") != NULL;
        freeReplyObject(info);
        if (blocked) break;
    }
    same("killed", number(c, "CLIENT KILL TYPE normal SKIPME yes") == 1);
    event_base_dispatch(base);
    same("told of it", counted == 1 && disconnects == 3);
    redisFree(c);
    event_base_free(base);
}

#if HIREDIS_MAJOR >= 1
static char pushed[8][64];
static int pushes;

static void on_push(void *what, void *got) {
    redisReply *reply = got;
    same("a push", reply->type == REDIS_REPLY_PUSH);
    const redisReply *last = reply->element[reply->elements - 1];
    snprintf(pushed[pushes++ % 8], 64, "%s %s", reply->element[0]->str, last->type == REDIS_REPLY_ARRAY ? last->element[0]->str : last->str ? last->str : "");
    freeReplyObject(reply);
}

static void resp3(void) {
    redisContext *c = connected(), *other = connected();
    redisSetPushCallback(c, on_push);
    redisReply *reply = redisCommand(c, "HELLO 3");
    same("a map", reply->type == REDIS_REPLY_MAP && !strcmp(reply->element[0]->str, "server"));
    freeReplyObject(reply);
    text(c, REDIS_REPLY_NIL, NULL, "GET none");
    number(c, "ZADD z 2.5 m");
    reply = redisCommand(c, "ZSCORE z m");
    same("a double", reply->type == REDIS_REPLY_DOUBLE && reply->dval == 2.5);
    freeReplyObject(reply);
    number(c, "SADD s a");
    reply = redisCommand(c, "SMEMBERS s");
    same("a set", reply->type == REDIS_REPLY_SET && reply->elements == 1);
    freeReplyObject(reply);
    reply = redisCommand(c, "DEBUG PROTOCOL true");
    same("a boolean", reply->type == REDIS_REPLY_BOOL && reply->integer == 1);
    freeReplyObject(reply);
    reply = redisCommand(c, "DEBUG PROTOCOL verbatim");
    same("a text with a kind", reply->type == REDIS_REPLY_VERB && !strcmp(reply->vtype, "txt"));
    freeReplyObject(reply);
    reply = redisCommand(c, "DEBUG PROTOCOL bignum");
    same("a large number", reply->type == REDIS_REPLY_BIGNUM && !strcmp(reply->str, "1234567999999999999999999999999999999"));
    freeReplyObject(reply);
    // Keys that were read are told of when somebody else changes them, between replies.
    text(c, REDIS_REPLY_STATUS, "OK", "CLIENT TRACKING ON");
    text(c, REDIS_REPLY_STRING, "v", "GET k");
    text(other, REDIS_REPLY_STATUS, "OK", "SET k w");
    text(c, REDIS_REPLY_STRING, "w", "GET k");
    same("an invalidation", pushes == 1 && !strcmp(pushed[0], "invalidate k"));
    text(other, REDIS_REPLY_STATUS, "OK", "FLUSHALL");
    text(c, REDIS_REPLY_STATUS, "PONG", "PING");
    same("of all keys", pushes == 2 && !strcmp(pushed[1], "invalidate "));
    // Messages come between replies, too, and commands go on.
    same("subscribes", redisAppendCommand(c, "SUBSCRIBE news") == REDIS_OK);
    text(c, REDIS_REPLY_STATUS, "PONG", "PING");
    same("somebody gets it", number(other, "PUBLISH news hello") == 1);
    same("counts", number(c, "INCR n") == 1);
    same("a message", pushes == 4 && !strcmp(pushed[2], "subscribe ") && !strcmp(pushed[3], "message hello"));
    redisFree(other);
    redisFree(c);
}
#else
static void resp3(void) {}
#endif

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    replies();
    events();
    resp3();
    printf("%d results as expected\n", asserted);
}
