// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;
import org.apache.rocketmq.common.message.MessageExt;

/** What consumers saw, in the order in which they saw it. Any thread may note; every sight counts. */
final class Seen {
    static final long PATIENCE_MS = 90_000; // for anything that must happen
    static final long SETTLE_MS = 1_200;    // how long nothing more may come once everything is there

    record Sight(String body, MessageExt message, long atMs) {}

    private final List<Sight> all = new ArrayList<>();

    synchronized void note(MessageExt m) {
        all.add(new Sight(new String(m.getBody(), StandardCharsets.UTF_8), m, System.currentTimeMillis()));
    }

    synchronized void note(String remark) {
        all.add(new Sight(remark, null, System.currentTimeMillis()));
    }

    synchronized List<Sight> sights() {
        return new ArrayList<>(all);
    }

    List<Sight> of(String body) {
        return sights().stream().filter(s -> s.body.equals(body)).toList();
    }

    List<Sight> startingWith(String prefix) {
        return sights().stream().filter(s -> s.body.startsWith(prefix)).toList();
    }

    Map<String, Integer> counts(String prefix) {
        Map<String, Integer> out = new TreeMap<>();
        startingWith(prefix).forEach(s -> out.merge(s.body, 1, Integer::sum));
        return out;
    }

    void exactly(List<String> want) throws InterruptedException {
        exactly("", want);
    }

    /** Waits until all of want was seen, then for quiet; fails at any difference among the bodies that start with prefix. */
    void exactly(String prefix, List<String> want) throws InterruptedException {
        Map<String, Integer> wanted = new TreeMap<>();
        want.forEach(b -> wanted.merge(b, 1, Integer::sum));
        if (wanted.isEmpty()) {
            throw new AssertionError("nothing expected: no evidence");
        }
        long deadline = System.currentTimeMillis() + PATIENCE_MS;
        while (System.currentTimeMillis() < deadline) {
            Map<String, Integer> got = counts(prefix);
            if (wanted.entrySet().stream().allMatch(e -> got.getOrDefault(e.getKey(), 0) >= e.getValue())) {
                break;
            }
            Thread.sleep(5);
        }
        quiet();
        String difference = difference(wanted, counts(prefix));
        if (!difference.isEmpty()) {
            throw new AssertionError("seen otherwise than promised: " + difference);
        }
    }

    void quiet() throws InterruptedException {
        int last = sights().size();
        for (long since = System.currentTimeMillis(); System.currentTimeMillis() - since < SETTLE_MS; Thread.sleep(10)) {
            int now = sights().size();
            if (now != last) {
                last = now;
                since = System.currentTimeMillis();
            }
        }
    }

    void until(String what, Predicate<List<Sight>> condition) throws InterruptedException {
        Case.until(what, () -> condition.test(sights()));
    }

    static String difference(Map<String, Integer> want, Map<String, Integer> got) {
        List<String> out = new ArrayList<>();
        want.forEach((b, n) -> {
            if (!n.equals(got.getOrDefault(b, 0))) {
                out.add("\"" + brief(b) + "\" " + got.getOrDefault(b, 0) + " times instead of " + n);
            }
        });
        got.forEach((b, n) -> {
            if (!want.containsKey(b)) {
                out.add("\"" + brief(b) + "\" " + n + " times, unexpected");
            }
        });
        return out.size() > 8 ? String.join("; ", out.subList(0, 8)) + "; and " + (out.size() - 8) + " more" : String.join("; ", out);
    }

    private static String brief(String s) {
        return s.length() > 60 ? s.substring(0, 60) + "..." : s;
    }
}
