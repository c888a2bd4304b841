# Program: Perl's Redis
# Needs: apt libredis-perl=2.000
# Exercises: commands, pipelines by callbacks, transactions, scripts, subscriptions, tied hashes and lists, reconnection, blocking workers
use strict;
use warnings;
use Redis;
use Redis::Hash;
use Redis::List;
use Time::HiRes qw(sleep time);

my $asserted = 0;

sub shown { my ($value) = @_; ref $value eq 'ARRAY' ? '[' . join(', ', map { shown($_) } @$value) . ']' : defined $value ? "'$value'" : 'undef' }

sub same {
    my ($got, $expected) = (shown($_[0]), shown($_[1]));
    die "$got where $expected was expected, at line " . (caller)[2] . "\n" if $got ne $expected;
    $asserted++;
}

sub raises {
    my ($text, $call) = @_;
    my $got = eval { $call->(); 1 } ? 'nothing' : $@;
    die "$got where $text was expected, at line " . (caller)[2] . "\n" if index($got, $text) < 0;
    $asserted++;
}

sub until_true {
    my ($what, $holds) = @_;
    for (my $deadline = time + 20; !$holds->(); sleep 0.01) { die "waited in vain: $what\n" if time > $deadline }
}

my @server = (server => "127.0.0.1:$ENV{PORT}");
my ($redis, $other) = map { Redis->new(@server, name => "perl-$_") } 1, 2;
$redis->flushall;

same([$redis->set('text', 'hello', 'EX', 100), $redis->get('text'), $redis->get('none')], ['OK', 'hello', undef]);
same($redis->set('text', 'again', 'NX'), undef);
same([$redis->mget('text', 'none')], ['hello', undef]);
same([$redis->rpush('list', 'a', "\0\r\n", ''), $redis->lrange('list', 0, -1)], [3, 'a', "\0\r\n", '']);
same([$redis->hset('hash', 'f', 'v', 'g', 'w'), $redis->hgetall('hash')], [2, 'f', 'v', 'g', 'w']);
same([$redis->zadd('scores', 1.5, 'one', 2, 'two'), $redis->zrange('scores', 0, -1, 'WITHSCORES')], [2, 'one', '1.5', 'two', '2']);
same([map { $_->[1] } [$redis->lmpop(1, 'list', 'LEFT', 'COUNT', 2)]], [['a', "\0\r\n"]]);
same($redis->client_getname, 'perl-1');
same([$redis->object('ENCODING', 'hash'), $redis->type('hash'), $redis->exists('none')], ['listpack', 'hash', 0]);
raises('WRONGTYPE Operation against a key holding the wrong kind of value', sub { $redis->lpush('text', 1) });
raises("ERR unknown command 'NOSUCH'", sub { $redis->nosuch });
my $info = $redis->info;
same([$info->{redis_mode}, $info->{role}], ['standalone', 'master']);
same([sort $redis->keys('*')], [qw(hash list scores text)]);

# Callbacks make a pipeline; an error comes with its own.
my ($sum, @errors) = (0);
$redis->incr('n', sub { my ($reply, $error) = @_; $sum += $reply }) for 1 .. 1000;
$redis->lpush('n', 1, sub { push @errors, $_[1] });
$redis->wait_all_responses;
same([$sum, @errors], [500500, 'WRONGTYPE Operation against a key holding the wrong kind of value']);

same([$redis->multi, $redis->incr('n'), $redis->get('n'), $redis->exec], ['OK', 'QUEUED', 'QUEUED', 1001, 1001]);
$redis->watch('n');
$other->incr('n');
$redis->multi;
$redis->set('n', 0);
same([$redis->exec, $redis->get('n')], [undef, 1002]);
# It reads no further than an error in what EXEC answers: of no use any more.
my $left = Redis->new(@server);
$left->multi;
$left->lpush('n', 1);
$left->incr('n');
raises('[exec] WRONGTYPE', sub { $left->exec });

same([$redis->eval('return {KEYS[1], ARGV[1] + 1}', 1, 'key', 41)], ['key', 42]);
my $sha = $redis->script_load('return ARGV[1]');
same([$redis->evalsha($sha, 0, 'x'), $redis->script_exists($sha)], ['x', 1]);
raises('NOSCRIPT', sub { $redis->evalsha('0' x 40, 0) });

$redis->mset(map { ("scan:$_", $_) } 0 .. 4999);
my ($cursor, %found) = (0);
do {
    ($cursor, my $keys) = $redis->scan($cursor, 'MATCH', 'scan:*', 'COUNT', 100);
    @found{@$keys} = ();
} while $cursor;
same(scalar keys %found, 5000);

# Hashes and lists that are tied to keys.
tie my %tied, 'Redis::Hash', 'tied', @server;
%tied = (a => 1, b => 2);
$tied{c} = 3;
delete $tied{a};
same([sort(map { "$_=$tied{$_}" } keys %tied), exists $tied{a} ? 1 : 0, $redis->get('tied:c')], ['b=2', 'c=3', 0, 3]);
tie my @tied, 'Redis::List', 'tied list', @server;
push @tied, 'x', 'y', 'z';
same([shift @tied, pop @tied, scalar @tied, $tied[0]], ['x', 'z', 1, 'y']);

# Messages and patterns, until nothing is subscribed to.
my @got;
my $subscriber = Redis->new(@server);
my $heard = sub { my ($text, $channel, $subscribed) = @_; push @got, "$subscribed $channel $text" };
$subscriber->subscribe('news', 'weather', $heard);
$subscriber->psubscribe('n*', $heard);
same([$redis->publish('news', 'hello'), $redis->publish('weather', 'rain')], [2, 1]);
$subscriber->wait_for_messages(1) while @got < 3;
same([@got], ['news news hello', 'n* news hello', 'weather weather rain']);
raises('Cannot use command \'get\' while in SUBSCRIBE mode', sub { $subscriber->get('text') });
$subscriber->unsubscribe('news', 'weather', $heard);
$subscriber->punsubscribe('n*', $heard);
same([$subscriber->get('text'), $redis->publish('news', 'nobody')], ['hello', 0]);

# A worker waits in a process of its own.
my $worker = fork // die;
if (!$worker) {
    my $redis = Redis->new(@server);
    my ($queue, $job) = $redis->blpop('urgent', 'queue', 20);
    $redis->rpush('done', "$queue $job");
    exit;
}
until_true('the worker waits', sub { $redis->info->{blocked_clients} == 1 });
$redis->rpush('queue', 'job');
waitpid $worker, 0;
same($redis->lpop('done'), 'queue job');

# It connects again if it may, but not within a transaction; what is late is an error.
my $stubborn = Redis->new(@server, reconnect => 20, every => 10_000);
same([$other->client_kill('ID', $stubborn->client_id), $stubborn->get('text')], [1, 'hello']);
$stubborn->multi;
$other->client_kill('ID', $1) if $other->client_list =~ /^id=(\d+) .* multi=0 /m;
raises('', sub { $stubborn->exec });
my $once = Redis->new(@server);
$other->client_kill('ID', $once->client_id);
raises('', sub { $once->get('text') });
my $hasty = Redis->new(@server, read_timeout => 0.1);
raises('', sub { $hasty->blpop('none', 5) });
raises('Could not connect to Redis server at 127.0.0.1:1', sub { Redis->new(server => '127.0.0.1:1') });
raises('[auth] ERR AUTH', sub { Redis->new(@server, password => 'wrong') });
print "$asserted results as expected\n";
