# What a program asserts. `done`, at the end, prints how many there were.
$asserted = 0

def same(got, expected)
  raise "#{got.inspect} where #{expected.inspect} was expected, at #{caller(1, 1)}" unless got == expected
  $asserted += 1
end

# What it raised, which must be a `kind`.
def raises(kind)
  got = yield
rescue kind => error
  $asserted += 1
  error
else
  raise "#{got.inspect} where #{kind} was expected, at #{caller(1, 1)}"
end

# Asks again until it holds; what it answered then.
def until_true(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
  until (answer = yield)
    raise "waited in vain: #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.01
  end
  answer
end

def done
  puts "#{$asserted} results as expected"
end
