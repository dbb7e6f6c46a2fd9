import MerlinProtocol
import StemwireAcquisition
import StemwireProtocol

/// What is passed to the detector.
extension ControlOperations {
    func detectorRequest(_ wanted: WireDetectorRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        let isReading = if case .get? = wanted.kind { true } else { false }
        do throws(RequestFailure) {
            let value = try await detector.perform(by: deadline, isReading: isReading) { control, timeLeft -> String in
                switch wanted.kind {
                case .get(let name):
                    return try control.get(name, timeout: timeLeft())
                case .set(let set):
                    try control.set(set.name, to: set.value, timeout: timeLeft())
                case .cmd(let name):
                    try control.command(name, timeout: timeLeft())
                case nil:
                    throw RequestFailure(code: .invalidArgument, message: "neither get, set nor cmd was given")
                }
                return ""
            }
            noteCommand(wanted)
            var reply = WireReply()
            reply.detector.value = value
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    /// A command that was passed on as it came means to the acquisition what the request for it means.
    private func noteCommand(_ wanted: WireDetectorRequest) {
        guard case .cmd(let name)? = wanted.kind else { return }
        switch name.uppercased() {
        case "STOPACQUISITION": didEnd(.stop)
        case "ABORT", "RESET": didEnd(.abort)
        default: break
        }
    }

    // MARK: Several settings

    func configure(_ wanted: WireConfigureRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        do throws(RequestFailure) {
            let settings = try await configured(wanted.settings, deadline)
            var reply = WireReply()
            reply.settings.settings = settings
            reply.settings.differing = UInt32(settings.count(where: \.differs))
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    /// Sets what is asked for in an order in which the detector takes it, and reads it back.
    func configured(
        _ wanted: [WireDetectorSet], _ deadline: ContinuousClock.Instant
    ) async throws(RequestFailure) -> [WireDetectorSetting] {
        guard wanted.count <= WireLimits.settings else {
            throw RequestFailure(
                code: .invalidArgument, message: "\(wanted.count) settings; at most \(WireLimits.settings) at once")
        }
        for setting in wanted {
            guard Self.isWritable(setting) else {
                throw RequestFailure(
                    code: .invalidArgument,
                    message:
                        "\"\(setting.name)\" = \"\(setting.value)\" cannot be written as a command: no name, or signs that "
                        + "the detector's language does not have")
            }
        }
        if status.state == "acquiring" {
            throw RequestFailure(code: .wrongState, message: "an acquisition is running; stop or abort it first")
        }
        let ordered = SettingOrder.sorted(wanted.map { ($0.name, $0.value) })
        return try await detector.perform(by: deadline) { control, timeLeft in
            var codes = [ControlCode?](repeating: nil, count: ordered.count)
            // Some bounds depend on settings that come later: what was refused is tried once more.
            for _ in 0..<2 {
                for (index, setting) in ordered.enumerated() where codes[index]?.isOK != true {
                    codes[index] = try control.send(
                        .set(setting.name, setting.value), timeout: timeLeft()
                    ).code
                }
                if codes.allSatisfy({ $0?.isOK == true }) { break }
            }
            return try zip(ordered, codes).map { setting, code in
                let read = try control.send(.get(setting.name), timeout: timeLeft())
                var told = WireDetectorSetting()
                (told.name, told.asked, told.value) = (
                    setting.name, setting.value, read.code.isOK ? read.value ?? "" : ""
                )
                told.differs = !read.code.isOK || !SettingOrder.isSame(setting.value, told.value)
                if let refusal = [code, read.code].compactMap({ $0 }).first(where: { !$0.isOK }) {
                    told.detectorCode = Int32(clamping: refusal.rawValue)
                    told.message = "\(refusal)"
                }
                return told
            }
        }
    }

    private static func isWritable(_ setting: WireDetectorSet) -> Bool {
        let isPlain = { (text: String) in text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value < 0x7F } }
        return !setting.name.isEmpty && !setting.name.contains(",") && isPlain(setting.name) && isPlain(setting.value)
    }

    // MARK: Command files

    func commandFile(_ wanted: WireCommandFileRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        do throws(RequestFailure) {
            let requests = try Self.requests(in: wanted.text)
            let lines = try await detector.perform(by: deadline) { control, timeLeft in
                try requests.map { request in
                    let reply = try control.send(request.request, timeout: timeLeft())
                    guard reply.code.isOK else {
                        throw RequestFailure(
                            code: .detectorRefused,
                            message:
                                "line \(request.line), “\(request.request)”, was refused: \(reply.code). The lines "
                                + "before it were done, those behind it were not",
                            detectorCode: Int32(clamping: reply.code.rawValue))
                    }
                    var line = WireCommandFileLine()
                    line.request = "\(request.request)"
                    line.value = reply.value ?? ""
                    return line
                }
            }
            for request in requests where request.request.kind == .cmd {
                var wanted = WireDetectorRequest()
                wanted.cmd = request.request.name
                noteCommand(wanted)
            }
            var reply = WireReply()
            reply.commandFile.lines = lines
            return ControlAnswer(reply: reply)
        } catch {
            return error.answer
        }
    }

    /// The requests of a command file, each with the number of its line.
    static func requests(in text: String) throws(RequestFailure) -> [(line: Int, request: ControlRequest)] {
        var requests: [(line: Int, request: ControlRequest)] = []
        var number = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            number += 1
            let bytes = Array(line.utf8)
            guard let first = bytes.first(where: { $0 != 0x20 && $0 != 0x09 }), first != UInt8(ascii: "#") else {
                continue
            }
            do throws(ControlMessageError) {
                requests.append((number, try ControlRequest.parse(bytes)))
            } catch {
                throw RequestFailure(
                    code: .invalidArgument,
                    message: "line \(number) of the command file, “\(line)”: \(error); nothing was sent")
            }
        }
        return requests
    }
}
