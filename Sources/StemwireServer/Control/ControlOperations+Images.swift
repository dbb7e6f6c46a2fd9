import MerlinProtocol
import StemwireAcquisition
import StemwireKernels
import StemwirePictures
import StemwireProtocol
import StemwireUDF

/// Channels and frames as files.
extension ControlOperations {
    /// How far behind the newest frame one is looked for that is kept.
    private static let newestSearch = 4096

    func image(_ wanted: WireImageRequest, _ deadline: ContinuousClock.Instant) async -> ControlAnswer {
        do throws(RequestFailure) {
            let record = try record([UInt8](wanted.acquisition))
            for run in record.runs where wanted.run.isEmpty || run.name == wanted.run {
                await compute(run, deadline)
                let state = run.snapshot()
                let channel = state.channels.first { channel in
                    (wanted.udf.isEmpty || channel.udf == wanted.udf)
                        && (wanted.channel.isEmpty || channel.name == wanted.channel)
                }
                guard let channel else { continue }
                let format = try ImageFormat(wanted.format, colours: wanted.colours, isLogarithmic: wanted.logarithmic)
                var answer = try format.answer(channel.array, of: "\(channel.udf).\(channel.name)", in: record)
                answer.reply.image.run = run.name
                answer.reply.image.udf = channel.udf
                answer.reply.image.channel = channel.name
                answer.reply.image.version = channel.version
                answer.reply.image.positionsProcessed = UInt64(state.processed.count)
                answer.reply.image.positionsExpected = UInt64(state.expected)
                answer.reply.image.final = state.isFinal
                return answer
            }
            throw RequestFailure(code: .notFound, message: notFound(wanted, in: record))
        } catch {
            return error.answer
        }
    }

    private func notFound(_ wanted: WireImageRequest, in record: AcquisitionRecord) -> String {
        let known = record.runs.flatMap { run in
            run.hasResults ? run.channels.map { "\(run.name)/\($0.udf).\($0.name)" } : []
        }
        let name = [wanted.run, wanted.udf, wanted.channel].filter { !$0.isEmpty }.joined(separator: " ")
        return known.isEmpty
            ? "there is no result yet" : "there is no channel \(name); there are: \(known.joined(separator: ", "))"
    }

    func frame(_ wanted: WireFrameRequest) -> ControlAnswer {
        do throws(RequestFailure) {
            let record = try record([UInt8](wanted.acquisition))
            let position = try position(wanted, in: record)
            let format = try ImageFormat(wanted.format, colours: wanted.colours, isLogarithmic: wanted.logarithmic)
            guard let tile = parts.frames.lookup(generation: record.description.generation, position: position) else {
                let absence = record.absence(from: position..<position + 1)
                throw RequestFailure(
                    code: .notFound, message: "the frame at position \(position) \(absence.reason.sentence)")
            }
            defer { tile.release() }
            let array = try Self.decoded(tile, position, record.description)
            var answer = try format.answer(array, of: "position \(position)", in: record)
            answer.reply.image.position = UInt64(position)
            return answer
        } catch {
            return error.answer
        }
    }

    private func position(_ wanted: WireFrameRequest, in record: AcquisitionRecord) throws(RequestFailure) -> Int {
        let shape = record.description.navShape.dimensions
        if wanted.newest {
            guard let newest = record.newestReceived else {
                throw RequestFailure(code: .notFound, message: "no frame has come yet")
            }
            // It may still be on its way to those who keep it.
            let generation = record.description.generation
            let kept = (max(0, newest - Self.newestSearch)...newest).reversed().first { position in
                guard let tile = parts.frames.lookup(generation: generation, position: position) else { return false }
                tile.release()
                return true
            }
            return kept ?? newest
        }
        if wanted.at.isEmpty {
            guard let position = Int(exactly: wanted.position), position < record.description.framesExpected else {
                throw RequestFailure(
                    code: .invalidArgument,
                    message: "position \(wanted.position) is none of 0 ..< \(record.description.framesExpected)")
            }
            return position
        }
        guard wanted.at.count == shape.count, zip(wanted.at, shape).allSatisfy({ Int($0) < $1 }) else {
            throw RequestFailure(
                code: .invalidArgument, message: "\(wanted.at.map { Int($0) }) is no place in a scan of \(shape)")
        }
        return zip(wanted.at, shape).reduce(0) { $0 * $1.1 + Int($1.0) }
    }

    private static func decoded(
        _ tile: Tile, _ position: Int, _ description: AcquisitionDescription
    ) throws(RequestFailure) -> ResultArray {
        let decoder: FrameDecoder
        do throws(DecodeError) {
            decoder = try FrameDecoder(description.format)
        } catch {
            throw RequestFailure(code: .invalidArgument, message: "\(error)")
        }
        var image = ResultArray(
            zeros: DType(description.format.decodedPixel),
            shape: [description.sigShape.height, description.sigShape.width])
        let payload = tile.payload(position - tile.firstPosition)
        image.withUnsafeMutableBytes { decoder.decode(payload, into: $0) }
        return image
    }
}

extension FetchPeer.Unavailable {
    fileprivate var sentence: String {
        switch self {
        case .missing: "never came, or was rejected"
        case .pending: "has not come yet"
        case .released: "is not kept any more: its memory was needed for newer ones"
        }
    }
}

/// The files in which an array can be had.
private struct ImageFormat {
    enum Kind: String, CaseIterable {
        case png, tiff, npy, raw
    }

    let kind: Kind
    let style: PictureStyle

    init(_ name: String, colours: String, isLogarithmic: Bool) throws(RequestFailure) {
        guard let kind = name.isEmpty ? .png : Kind(rawValue: name) else {
            throw RequestFailure(
                code: .invalidArgument,
                message: "\"\(name)\" is none of \(Kind.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        guard colours.isEmpty || ColourTables.names.contains(colours) else {
            throw RequestFailure(
                code: .invalidArgument, message: "the colour maps are \(ColourTables.names.joined(separator: ", "))")
        }
        self.kind = kind
        style = PictureStyle(colours: colours.isEmpty ? "viridis" : colours, isLogarithmic: isLogarithmic)
    }

    private var mediaType: String {
        switch kind {
        case .png: "image/png"
        case .tiff: "image/tiff"
        case .npy, .raw: "application/octet-stream"
        }
    }

    func answer(
        _ array: ResultArray, of name: String, in record: AcquisitionRecord
    ) throws(RequestFailure) -> ControlAnswer {
        let bytes = try encode(array, name)
        var reply = WireReply()
        reply.image.format = kind.rawValue
        reply.image.mediaType = mediaType
        reply.image.dtype = array.dtype.rawValue
        reply.image.shape = array.shape.map { UInt32(clamping: $0) }
        reply.image.checksum = bytes.withUnsafeBytes { Checksum.xxh3($0) }
        reply.image.acquisition = .init(record.description.id.bytes)
        reply.image.generation = record.description.generation
        return ControlAnswer(reply: reply, payloads: [.bytes(bytes)])
    }

    private func encode(_ array: ResultArray, _ name: String) throws(RequestFailure) -> [UInt8] {
        switch kind {
        case .npy: return NumpyFile.encode(array)
        case .raw: return array.withUnsafeBytes { Array($0) }
        case .png, .tiff:
            let notAnImage = RequestFailure(
                code: .invalidArgument,
                message:
                    "\(name) has the shape \(array.shape) of \(array.dtype.rawValue), which is no image; take npy or raw"
            )
            guard array.shape.count == 2, array.count > 0, array.dtype != .complex64, array.dtype != .complex128
            else { throw notAnImage }
            let values = array.doubles()
            let (rows, columns) = (array.shape[0], array.shape[1])
            if kind == .tiff { return FloatTIFF.encode(values.map { Float($0) }, rows: rows, columns: columns) }
            guard let png = style.png(values, rows: rows, columns: columns) else { throw notAnImage }
            return png
        }
    }
}
