<?php
// Program: phpredis
// Needs: apt php-redis=5.3
// Needs: apt php-cli
// Exercises: commands, serializers, compression, pipelines, transactions, scripts, scans, streams, subscriptions, persistent connections, retries; sessions with locks behind PHP's own web server
//
// The web server of the second half runs this file, too.

if (PHP_SAPI === 'cli-server') {
    session_start();
    switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
        case '/count':
            // Without a lock two requests would read the same count.
            $count = $_SESSION['count'] ?? 0;
            usleep(10000);
            $_SESSION['count'] = $count + 1;
            break;
        case '/login':
            session_regenerate_id(true);
            $_SESSION['user'] = ['name' => 'Ada', 'tags' => ['é', "\0"]];
            break;
        case '/logout':
            session_destroy();
            break;
    }
    echo json_encode([session_id(), $_SESSION]);
    return;
}

$asserted = 0;
function same($got, $expected) {
    global $asserted;
    if ($got !== $expected) {
        throw new Exception(var_export($got, true) . ' where ' . var_export($expected, true) . ' was expected');
    }
    $asserted++;
}
function raises($call, $text) {
    try {
        $call();
    } catch (RedisException $error) {
        return same(strpos($error->getMessage(), $text) !== false ? $text : $error->getMessage(), $text);
    }
    throw new Exception("no error where $text was expected");
}
function until_true($what, $holds) {
    for ($deadline = microtime(true) + 20; !($answer = $holds()); usleep(5000)) {
        if (microtime(true) > $deadline) throw new Exception("waited in vain: $what");
    }
    return $answer;
}

$port = (int) getenv('PORT');
// It keeps the end of a buffer with the text.
function lastError($redis) {
    return rtrim($redis->getLastError(), "\0");
}
function connected() {
    global $port;
    $redis = new Redis();
    $redis->connect('127.0.0.1', $port, 20);
    return $redis;
}
[$redis, $other] = [connected(), connected()];
$redis->flushAll();

same($redis->set('text', 'hello', ['nx', 'ex' => 100]), true);
same($redis->set('text', 'again', ['nx']), false);
same([$redis->get('text'), $redis->get('none'), $redis->ttl('text') > 90], ['hello', false, true]);
same([$redis->mGet(['text', 'none']), $redis->incrByFloat('n', 1.5)], [['hello', false], 1.5]);
same([$redis->hMSet('hash', ['a' => 1, 'b' => 2]), $redis->hGetAll('hash')], [true, ['a' => '1', 'b' => '2']]);
same([$redis->zAdd('scores', ['GT', 'CH'], 1.5, 'one', 2, 'two'), $redis->zRange('scores', 0, -1, true)], [2, ['one' => 1.5, 'two' => 2.0]]);
same([$redis->rPush('list', 'a', 'b', 'c'), $redis->lRange('list', 0, -1)], [3, ['a', 'b', 'c']]);
same([$redis->rawCommand('LMPOP', 1, 'list', 'LEFT', 'COUNT', 2), $redis->blPop(['list'], 1), $redis->rawCommand('BLPOP', 'list', '0.02')], [['list', ['a', 'b']], ['list', 'c'], []]);
same([$redis->lPush('text', 'x'), lastError($redis)], [false, 'WRONGTYPE Operation against a key holding the wrong kind of value']);
same(strlen($redis->dump('text')) > 10, true);
same([$redis->geoadd('places', 13.361389, 38.115556, 'Palermo', 15.087269, 37.502669, 'Catania'), $redis->georadius('places', 15, 37, 100, 'km')], [2, ['Catania']]);
same([$redis->pfAdd('hll', ['a', 'b']), $redis->pfCount('hll')], [1, 2]);
same(is_array($redis->info()) && isset($redis->info('memory')['used_memory']), true);
same($redis->object('encoding', 'hash'), 'listpack');

// What is stored is serialized and prefixed by the client.
$values = connected();
$values->setOption(Redis::OPT_PREFIX, 'app:');
foreach ([Redis::SERIALIZER_PHP, Redis::SERIALIZER_JSON, Redis::SERIALIZER_IGBINARY] as $serializer) {
    $values->setOption(Redis::OPT_SERIALIZER, $serializer);
    $values->hSet('values', 'array', ['a' => [1, 2.5, null, 'é']]);
    same([$values->hGet('values', 'array'), $redis->type('app:values')], [['a' => [1, 2.5, null, 'é']], Redis::REDIS_HASH]);
}
$values->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_NONE);
same([$values->set('a', 1), $redis->keys('app:*') == array_unique($redis->keys('app:*')), $values->del('a')], [true, true, 1]);

// Pipelines and transactions; somebody else is faster, once.
$pipe = $redis->multi(Redis::PIPELINE);
for ($n = 1; $n <= 1000; $n++) $pipe->incr('counter');
same(array_sum($pipe->exec()), 500500);
same($redis->multi()->incr('counter')->lPush('counter', 1)->get('counter')->exec(), [1001, false, '1001']);
$redis->watch('counter');
$other->incr('counter');
same([$redis->multi()->set('counter', 0)->exec(), $redis->get('counter')], [false, '1002']);

$script = 'return {KEYS[1], ARGV[1] + 1}';
same($redis->eval($script, ['key', 41], 1), ['key', 42]);
same([$redis->evalSha(sha1($script), ['key', 1], 1), $redis->script('exists', sha1($script))], [['key', 2], [1]]);
$redis->script('flush');
same([$redis->evalSha(sha1($script), ['key', 1], 1), lastError($redis)], [false, 'NOSCRIPT No matching script. Please use EVAL.']);

for ($pipe = $redis->pipeline(), $n = 0; $n < 5000; $n++) $pipe->set("scan:$n", $n);
$pipe->exec();
$redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
for ($found = [], $cursor = null; $keys = $redis->scan($cursor, 'scan:*', 100);) $found += array_flip($keys);
same(count($found), 5000);

same($redis->xGroup('CREATE', 'jobs', 'workers', '$', true), true);
$ids = [$redis->xAdd('jobs', '*', ['n' => 0]), $redis->xAdd('jobs', '*', ['n' => 1])];
same($redis->xReadGroup('workers', 'one', ['jobs' => '>'], 1), ['jobs' => [$ids[0] => ['n' => '0']]]);
same([$redis->xPending('jobs', 'workers')[0], $redis->xAck('jobs', 'workers', [$ids[0]]), $redis->xLen('jobs')], [1, 1, 2]);
same($redis->xClaim('jobs', 'workers', 'two', 0, [$ids[1]], ['FORCE' => true, 'JUSTID' => true]) === false, false);

// A process of its own subscribes, and tells what it got by a list.
if (($child = pcntl_fork()) === 0) {
    [$listener, $teller] = [connected(), connected()];
    try {
        $listener->subscribe(['news', 'weather'], function ($redis, $channel, $text) use ($teller) {
            $teller->rPush('got', "$channel $text");
            if ($text === 'leave') $redis->unsubscribe(['news', 'weather']);
        });
    } finally {
        posix_kill(getmypid(), SIGKILL);
    }
}
until_true('the subscriptions', fn() => $redis->pubsub('numsub', ['news', 'weather']) == ['news' => 1, 'weather' => 1]);
same([$redis->publish('news', 'hello'), $redis->publish('weather', 'leave')], [1, 1]);
same([$redis->blPop('got', 20)[1], $redis->blPop('got', 20)[1]], ['news hello', 'weather leave']);
posix_kill($child, SIGKILL);
pcntl_waitpid($child, $status);

// A connection that is late, one that is killed, and one that outlives its object.
$hasty = connected();
$hasty->setOption(Redis::OPT_READ_TIMEOUT, 0.05);
raises(fn() => $hasty->rawCommand('DEBUG', 'SLEEP', '0.5'), 'socket error on read socket');
same($other->rawCommand('CLIENT', 'KILL', 'ID', $redis->rawCommand('CLIENT', 'ID')), 1);
same($redis->ping(), true);
$persistent = new Redis();
$persistent->pconnect('127.0.0.1', $port, 20, 'kept');
$id = $persistent->rawCommand('CLIENT', 'ID');
unset($persistent);
$persistent = new Redis();
$persistent->pconnect('127.0.0.1', $port, 20, 'kept');
same($persistent->rawCommand('CLIENT', 'ID'), $id);
$other->config('SET', 'requirepass', 'secret');
$stranger = connected();
raises(fn() => $stranger->get('text'), 'NOAUTH');
raises(fn() => $stranger->auth('wrong'), 'WRONGPASS');
same([$stranger->auth('secret'), $stranger->auth(['default', 'secret']), $stranger->get('text')], [true, true, 'hello']);

// Sessions, with a password and in another database.
$listens = stream_socket_server('tcp://127.0.0.1:0');
$web = 'http://' . stream_socket_get_name($listens, false);
fclose($listens);
$settings = [
    'session.save_handler' => 'redis', 'session.save_path' => "\"tcp://127.0.0.1:$port?auth=secret&database=3&prefix=SESSION:&timeout=20\"",
    'session.gc_maxlifetime' => 100, 'redis.session.locking_enabled' => 1, 'redis.session.lock_retries' => -1, 'redis.session.lock_wait_time' => 2000,
];
$flags = array_merge(...array_map(fn($name, $value) => ['-d', "$name=$value"], array_keys($settings), $settings));
$null = ['file', '/dev/null', 'w'];
$server = proc_open([PHP_BINARY, ...$flags, '-S', substr($web, 7), __FILE__], [$null, $null, $null], $pipes, null, ['PHP_CLI_SERVER_WORKERS' => '4'] + getenv());
function get($path, $cookie = null) {
    global $web;
    $context = stream_context_create(['http' => ['header' => $cookie ? "Cookie: PHPSESSID=$cookie" : '', 'timeout' => 20]]);
    return json_decode((string) @file_get_contents($web . $path, false, $context), true);
}
try {
    [$cookie, $session] = until_true('the web server answers', fn() => get('/count'));
    same([$session, get('/count', $cookie)], [['count' => 1], [$cookie, ['count' => 2]]]);
    $stranger->select(3);
    same([$stranger->get("SESSION:$cookie"), $stranger->ttl("SESSION:$cookie") > 90], ['count|i:2;', true]);
    // Eight at once, each of which waits for the lock of the one before.
    for ($clients = [], $n = 0; $n < 8; $n++) {
        if (($clients[] = pcntl_fork()) === 0) {
            get('/count', $cookie);
            posix_kill(getmypid(), SIGKILL);
        }
    }
    foreach ($clients as $client) pcntl_waitpid($client, $status);
    same(get('/', $cookie), [$cookie, ['count' => 10]]);
    until_true('the lock is gone', fn() => $stranger->keys('*LOCK*') === []);
    [$new, $session] = get('/login', $cookie);
    same([$new !== $cookie, $session['user']['tags'], $stranger->exists("SESSION:$cookie")], [true, ['é', "\0"], 0]);
    same([get('/', $new)[1]['count'], get('/', 'unknown')[1]], [10, []]);
    get('/logout', $new);
    same($stranger->exists("SESSION:$new"), 0);
} finally {
    // Its workers, too.
    $master = proc_get_status($server)["pid"];
    foreach (explode(" ", trim(file_get_contents("/proc/$master/task/$master/children"))) as $worker) posix_kill((int) $worker, SIGTERM);
    posix_kill($master, SIGTERM);
    proc_close($server);
}
echo "$asserted results as expected\n";
