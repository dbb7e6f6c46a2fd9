import Foundation
import StemwireUDF
import Testing

extension CommandLineTests.Serve {
    @Test("ctl configures, checks, scans, saves images and frames, and lists the history")
    func wholeScans() async throws {
        let folder = try TemporaryFolder()
        let (detector, server, port) = try await Self.serve(nav: [8, 8], "--history", folder.path + "/history.sqlite")
        let settings = try await Self.ctl(port, "configure", "THRESHOLD0=4", "GAIN=1")
        #expect(settings.code == 0 && settings.objects.compactMap { $0["name"] as? String } == ["GAIN", "THRESHOLD0"])
        let differing = try await Self.ctl(port, "configure", "GAIN=9")
        #expect(differing.code == 1 && differing.errors.contains("not what was asked for"))
        try "SET,GAIN,2\nGET,GAIN\n".write(toFile: folder.path + "/gain.txt", atomically: true, encoding: .utf8)
        #expect(
            try await Self.ctl(port, "command-file", folder.path + "/gain.txt").objects.last?["value"] as? String == "2"
        )

        #expect(try await Self.ctl(port, "check", "--trigger", "soft").objects.first?["ok"] as? Bool == true)
        #expect(try await Self.ctl(port, "check", "--nav-shape", "9", "9").code == 1)
        // 64 frames: 10 before the scan, 6 lines of 8 and one fly-back each.
        let flyback = ["--nav-shape", "6", "8", "--lead-in", "10", "--flyback", "1"]
        #expect(try await Self.ctl(port, ["check"] + flyback).code == 0)
        #expect(try await Self.ctl(port, "check", "--lead-in", "-1").code == 64)
        let scan = try await Self.ctl(
            port, "scan", "--trigger", "soft", "--udf", "max", "--name", "mine", "--repeats", "2", "--timeout", "30")
        #expect(scan.code == 0 && scan.objects.count == 2, "\(scan.errors)")
        #expect(scan.objects.compactMap { $0["endReason"] as? String } == ["complete", "complete"])
        #expect(try await Self.ctl(port, "wait").code == 0)
        let image = try await Self.ctl(port, "image", folder.path + "/max.npy", "--channel", "mine/max.intensity")
        #expect(image.code == 0, "\(image.errors)")
        #expect(try NumpyFile.read(folder.path + "/max.npy").shape == [16, 16])
        #expect(try await Self.ctl(port, "image", folder.path + "/sum.png", "--channel", "sum").code == 0)
        #expect(try await Self.ctl(port, "frame", "newest", folder.path + "/frame.tiff").code == 0)
        #expect(try await Self.ctl(port, "frame", "64", folder.path + "/none.npy").code == 64)
        #expect(try await Self.ctl(port, "image", folder.path + "/sum.jpg").code == 64)

        let inner = try await Self.ctl(port, ["scan", "--trigger", "soft", "--timeout", "30"] + flyback)
        #expect(inner.code == 0, "\(inner.errors)")
        let accounting = inner.objects.first?["accounting"] as? [String: Any]
        #expect(accounting?["expected"] as? String == "48" && accounting?["flybackFrames"] as? String == "6")

        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            let history = try await Self.ctl(port, "history", "--count", "5")
            let runs = history.objects.first?["runs"] as? [[String: Any]] ?? []
            if history.objects.count == 3, runs.contains(where: { ($0["results"] as? [Any])?.isEmpty == false }) {
                break
            }
            try #require(ContinuousClock.now < deadline, "both scans in the history: \(history.errors)")
        }
        server.signal(SIGTERM)
        #expect(try await server.ended(limit: .seconds(10)).code == 0)
        detector.stop()
    }

    @Test("ctl against a server that is stopped, and dead: back in time, with the reason and its exit code")
    func stoppedServer() async throws {
        let (detector, server, port) = try await Self.serve()
        server.signal(SIGSTOP)
        let stopped = try await Self.ctl(port, "status", "--timeout", "1")
        #expect(stopped.code == 3 && stopped.errors.contains("stopped"), "\(stopped.code) \(stopped.errors)")
        server.signal(SIGCONT)
        #expect(try await Self.ctl(port, "status", "--timeout", "20").code == 0)
        server.signal(SIGKILL)
        _ = try await server.ended(limit: .seconds(10))
        let dead = try await Self.ctl(port, "status", "--timeout", "1")
        #expect(dead.code == 3 && dead.errors.contains("nobody answers"), "\(dead.errors)")
        detector.stop()
    }
}
