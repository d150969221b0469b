// SPDX-License-Identifier: Apache-2.0
package halfmoon.e2e;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs cases against a live broker, several at a time: Main NS BROKER ID LATE_MS PARALLEL CASE... (or "list").
 * Prints "PASS case seconds evidence" or "FAIL case seconds reason" for each, then "DONE".
 * "worker KIND ..." is a client in a process of its own, for the cases that kill one.
 */
public final class Main {
    private static final long LIMIT_S = 200;

    private Main() {}

    static Map<String, Case.Body> cases() {
        Map<String, Case.Body> all = new TreeMap<>();
        Sending.cases(all);
        Order.cases(all);
        Delays.cases(all);
        Transactions.cases(all);
        Retries.cases(all);
        Groups.cases(all);
        Pulling.cases(all);
        Admin.cases(all);
        Version.cases(all);
        return all;
    }

    public static void main(String[] args) throws Exception {
        if (args[0].equals("list")) {
            cases().keySet().forEach(System.out::println);
            return;
        }
        if (args[0].equals("worker")) {
            Worker.main(args);
            return;
        }
        ExecutorService slots = Executors.newFixedThreadPool(Integer.parseInt(args[4]));
        ExecutorService bodies = Executors.newCachedThreadPool();
        List<Future<?>> all = new ArrayList<>();
        for (int i = 5; i < args.length; i++) {
            String name = args[i];
            all.add(slots.submit(() -> run(name, args, bodies)));
        }
        for (Future<?> f : all) {
            f.get();
        }
        System.out.println("DONE");
        System.exit(0); // the clients leave threads behind
    }

    private static void run(String name, String[] args, ExecutorService bodies) {
        long start = System.nanoTime();
        String verdict;
        Case.Body body = cases().get(name);
        Case c = new Case(name, args[0], args[1], args[2], Long.parseLong(args[3]));
        if (body == null) {
            verdict = "FAIL %s %.1f no such case";
        } else {
            Future<String> result = bodies.submit(() -> body.run(c));
            try {
                String evidence = result.get(LIMIT_S, TimeUnit.SECONDS);
                verdict = evidence == null || evidence.isEmpty() ? "FAIL %s %.1f no evidence" : "PASS %s %.1f " + evidence.replace("%", "%%");
            } catch (TimeoutException e) {
                result.cancel(true);
                verdict = "FAIL %s %.1f not finished after " + LIMIT_S + " s";
            } catch (Exception e) {
                Throwable cause = e.getCause() == null ? e : e.getCause();
                String at = cause.getStackTrace().length == 0 ? "" : where(cause);
                verdict = "FAIL %s %.1f " + (cause + at).replace("%", "%%").replace("\n", " | ");
            }
        }
        synchronized (System.out) {
            System.out.printf(verdict + "%n", name, (System.nanoTime() - start) / 1e9);
            System.out.flush();
        }
        bodies.submit(c::close); // closing clients takes seconds and proves nothing
    }

    private static String where(Throwable t) {
        for (StackTraceElement e : t.getStackTrace()) {
            if (e.getClassName().startsWith("halfmoon") && !e.getClassName().endsWith("Case") && !e.getClassName().endsWith("Seen")) {
                return " at " + e.getFileName() + ":" + e.getLineNumber();
            }
        }
        return "";
    }
}
