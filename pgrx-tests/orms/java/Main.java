import java.util.Map;

/** Runs the tests of every client. Connects by the PG* variables; the last line is "N passed, N failed". */
class Main {
    public static void main(String[] arguments) throws Exception {
        int failed = 0;
        HibernateOrm.tests();
        for (Map.Entry<String, Harness.Step> test : Harness.TESTS.entrySet()) {
            Harness.execute(Harness.PLAIN, "CALL reset_rows()");
            try {
                test.getValue().run();
                System.out.println("ok      " + test.getKey());
            } catch (Exception | AssertionError error) {
                failed++;
                System.out.println("FAILED  " + test.getKey());
                error.printStackTrace(System.out);
            }
        }
        System.out.println(Harness.TESTS.size() - failed + " passed, " + failed + " failed");
        System.exit(failed == 0 ? 0 : 1);
    }
}
