import StemwireKernels

/// UDFs with their parameters, ready to run on an acquisition: what server, threads and workers agree on.
///
/// A value that can be shared by threads. Planning makes masks and the like, so it is done once, not for each partition.
public struct RunPlan: Sendable {
    /// What the UDFs of a run look at; `inputDType` is the type of corrected pixels where there are corrections.
    public let meta: UDFMeta
    /// What is done to every frame before any UDF sees it; nil for nothing.
    public let corrections: Corrections?
    /// The type of the pixels before corrections.
    public let sourceDType: DType
    /// Rises with every change of parameters during a run.
    public let generation: UInt32
    /// The UDFs in the order of the requests.
    public let udfs: [PlannedUDF]

    /// The largest block of decoded frames that is worked on at once, unless a UDF wants more or one frame is larger.
    ///
    /// Sized for the second-level cache of any present processor. It is a constant since the tile borders of
    /// floating-point sums, and so their last bits, depend on it.
    public static let blockBytes = 256 << 10

    /// - Parameters:
    ///   - requests: What to run; the ids must differ.
    ///   - registry: The UDFs there are.
    ///   - meta: The acquisition, with the type of its pixels as they are before corrections.
    ///   - corrections: What is done to every frame before any UDF sees it; nil for nothing.
    ///   - generation: Rises with every change of parameters during a run.
    /// - Throws: `UDFError`: `badRequest` for the ids, auxiliary data or corrections, `unknownUDF` with the known names,
    ///   `badParameter` with the valid parameters and their defaults, `badDeclaration` for faults of the UDF itself.
    public init(
        _ requests: [UDFRequest], registry: UDFRegistry = .builtIn, meta: UDFMeta, corrections: Corrections? = nil,
        generation: UInt32 = 0
    ) throws(UDFError) {
        try self.init(
            requests, registry: registry, meta: meta, corrections: corrections, generation: generation,
            blockBytes: Self.blockBytes)
    }

    /// As the public initialiser, with blocks of another size: tests have small frames.
    package init(
        _ requests: [UDFRequest], registry: UDFRegistry, meta: UDFMeta, corrections: Corrections? = nil,
        generation: UInt32 = 0, blockBytes: Int
    ) throws(UDFError) {
        let frames = try PlannedFrames(meta, corrections, blockBytes: blockBytes)
        var ids: Set<String> = []
        var planned: [PlannedUDF] = []
        for request in requests {
            guard !request.id.isEmpty, request.id.first != ".", request.id.utf8.allSatisfy(isNameByte) else {
                throw UDFError(
                    .badRequest,
                    "the UDF id \"\(request.id)\" becomes a file name: use letters, digits, '_', '-' and '.'")
            }
            guard ids.insert(request.id).inserted else {
                throw UDFError(
                    .badRequest, "two UDFs with the id \"\(request.id)\": name one of them, as in other=\(request.name)"
                )
            }
            planned.append(try PlannedUDF(request, index: planned.count, registry, frames))
        }
        self.init(planned, frames, generation: generation)
    }

    init(_ udfs: [PlannedUDF], _ frames: PlannedFrames, generation: UInt32) {
        self.udfs = udfs
        self.frames = frames
        self.generation = generation
        meta = frames.meta
        corrections = frames.corrections
        sourceDType = frames.sourceDType
        blockDepth = udfs.map(\.tileDepth).max() ?? 1
    }

    /// What all UDFs of the run have in common.
    let frames: PlannedFrames

    /// The plan with other parameters, for a run that goes on: see `ResultMerger.adopt(_:)`.
    ///
    /// - Parameters:
    ///   - requests: The UDFs that change, by their ids, with all their parameters and auxiliary data. The others stay as
    ///     they are, and are not made anew.
    ///   - registry: The UDFs there are.
    /// - Returns: A plan of the next generation.
    /// - Throws: `UDFError`: `badRequest` for an id that the run does not have, that is there twice, or that belongs to
    ///   another UDF; otherwise as the initialiser.
    public func changed(to requests: [UDFRequest], registry: UDFRegistry = .builtIn) throws(UDFError) -> RunPlan {
        var changed = udfs
        var ids: Set<String> = []
        for request in requests {
            guard let index = udfs.firstIndex(where: { $0.id == request.id }) else {
                let known = udfs.map(\.id).joined(separator: ", ")
                throw UDFError(
                    .badRequest, udf: request.id, "the run has no UDF of this id, only \(known); UDFs cannot be added")
            }
            guard ids.insert(request.id).inserted else {
                throw UDFError(.badRequest, udf: request.id, "the parameters are given twice")
            }
            guard udfs[index].name == request.name else {
                throw UDFError(
                    .badRequest, udf: request.id,
                    "it is a \(udfs[index].name) in this run, and cannot become a "
                        + "\(request.name); only its parameters can change")
            }
            let planned = try PlannedUDF(request, index: udfs[index].index, registry, frames)
            if !planned.hasSameParameters(as: udfs[index]) { changed[index] = planned }
        }
        return RunPlan(changed, frames, generation: generation + 1)
    }

    /// The plan with some of the UDFs alone. Its results are parts of the whole plan's.
    public func restricted(to ids: Set<String>) -> RunPlan {
        RunPlan(udfs.filter { ids.contains($0.id) }, frames, generation: generation)
    }

    /// The frames decoded at once.
    let blockDepth: Int

    /// The scan positions of a partition that are to be processed.
    func selectedCount(in positions: Range<Int>) -> Int { meta.roi?.count(in: positions) ?? positions.count }
}

/// The frames of a run, as its UDFs see them.
struct PlannedFrames: Sendable {
    /// With the type of corrected pixels.
    let meta: UDFMeta
    let corrections: Corrections?
    let corrector: FrameCorrector?
    /// The type of the pixels before corrections.
    let sourceDType: DType
    /// Tells corrections apart; empty where there are none.
    let correctionsHash: String
    let blockBytes: Int

    init(_ meta: UDFMeta, _ corrections: Corrections?, blockBytes: Int) throws(UDFError) {
        sourceDType = meta.inputDType
        self.blockBytes = blockBytes
        guard let corrections, !corrections.isEmpty else {
            (self.meta, self.corrections, corrector, correctionsHash) = (meta, nil, nil, "")
            return
        }
        do throws(CorrectionsError) {
            corrector = try FrameCorrector(corrections, meta.sigShape, meta.inputDType)
        } catch {
            throw UDFError(.badRequest, "corrections: \(error)", cause: error)
        }
        var corrected = meta
        corrected.inputDType = Corrections.dtype(of: meta.inputDType)
        self.meta = corrected
        self.corrections = corrections
        correctionsHash = String(corrections.contentHash, radix: 16)
    }
}

/// One UDF of a run.
public struct PlannedUDF: Sendable {
    /// Unique in the run.
    public let id: String
    /// Its place in the plan of the whole run.
    let index: Int
    /// The UDF's name in the registry.
    public let name: String
    public let version: Int
    /// All parameters, also those left at their defaults.
    public let parameters: ParameterValue
    /// What was asked for, with all parameters spelled out: a plan of it elsewhere has the same content hash.
    package var request: UDFRequest {
        var values: [String: ParameterValue] = [:]
        if case .object(let all) = parameters { values = all }
        return UDFRequest(id: id, name: name, parameters: values, auxiliary: meta.auxiliary)
    }

    /// Equal exactly when name, version, parameters and the run's corrections are: tells whether two machines mean the
    /// same.
    public let contentHash: UInt64
    /// The UDF itself.
    public let udf: any UDF
    /// Its buffers.
    public let declarations: [BufferDeclaration]
    /// How it may be merged; never `.automatic`.
    public let order: MergeOrder
    /// What it is called with.
    let granularity: Granularity
    /// The frames it gets at once, at most.
    let tileDepth: Int
    /// The acquisition with the auxiliary data of this UDF.
    let meta: UDFMeta
    /// What it was made from in place of a UDF of the registry.
    private let function: FrameFunction?

    /// What a UDF is called with, by the protocol it conforms to.
    enum Granularity {
        case tile, frame, partition
    }

    /// The buffers that are part of a partition's result.
    var mergedDeclarations: [BufferDeclaration] { declarations.filter(\.isMerged) }

    /// Whether parts of a partition may be merged before it is complete.
    var canFlush: Bool { order == .any && granularity != .partition }

    /// Whether results of both are results of the same parameters.
    func hasSameParameters(as other: PlannedUDF) -> Bool {
        id == other.id && contentHash == other.contentHash && meta.auxiliary == other.meta.auxiliary
            && function == other.function
    }

    /// Whether frames must be kept until they can be handed on in fixed tiles.
    var needsWindow: Bool { order == .fixedTree || order == .sequence || granularity == .partition }

    init(
        _ request: UDFRequest, index: Int, _ registry: UDFRegistry, _ frames: PlannedFrames
    ) throws(UDFError) {
        let meta = frames.meta
        guard let entry = request.function?.entry ?? registry[request.name] else {
            let known = registry.entries.map(\.name).joined(separator: ", ")
            throw UDFError(.unknownUDF, udf: request.id, "there is no UDF \"\(request.name)\"; known are \(known)")
        }
        for (name, array) in request.auxiliary where !array.shape.starts(with: meta.navShape) {
            throw UDFError(
                .badRequest, udf: request.id,
                "the auxiliary data \(name) of shape \(array.shape) do not begin with the nav shape \(meta.navShape)")
        }
        var ownMeta = meta
        ownMeta.auxiliary = request.auxiliary
        let made = try entry.make(request, ownMeta)
        let declarations = made.udf.declareBuffers(ownMeta)
        if let fault = Self.fault(of: declarations, meta) {
            throw UDFError(.badDeclaration, udf: request.id, fault)
        }
        id = request.id
        self.index = index
        name = entry.name
        version = entry.version
        parameters = made.parameters
        let meaning = made.parameters.replacing(made.udf.contents)
        let corrections = frames.corrections == nil ? "" : "\n\(frames.correctionsHash)"
        contentHash =
            (made.udf as? ForeignUDF)?.told?.contentHash
            ?? ContentHash.of("\(entry.name)\n\(entry.version)\n\(meaning.json)\(corrections)".utf8)
        udf = made.udf
        self.declarations = declarations
        let exact = declarations.allSatisfy(\.mergesExactly)
        order = udf.order != .automatic ? udf.order : exact ? .any : .fixedTree
        granularity = try Self.granularity(of: udf, id: request.id)
        guard udf.input.isPossible(of: meta.inputDType) else {
            throw UDFError(
                .badRequest, udf: request.id,
                "\(name) does not work on pixels of \(meta.inputDType), only on counts"
                    + (frames.corrections == nil ? "" : "; leave out the corrections"))
        }
        let frameBytes = meta.sigShape.pixelCount * meta.inputDType.byteCount
        let fitting = max(frames.blockBytes / frameBytes, udf.preferredTileDepth, 1)
        tileDepth = min(fitting, meta.framesPerPartition)
        self.meta = ownMeta
        function = request.function
    }

    private static func granularity(of udf: any UDF, id: String) throws(UDFError) -> Granularity {
        if udf is any TileUDF { return .tile }
        if udf is any FrameUDF { return .frame }
        if udf is any PartitionUDF { return .partition }
        throw UDFError(.badDeclaration, udf: id, "it is neither a FrameUDF, nor a TileUDF, nor a PartitionUDF")
    }

    private static func fault(of declarations: [BufferDeclaration], _ meta: UDFMeta) -> String? {
        var names: Set<String> = []
        for declaration in declarations {
            if let fault = declaration.fault { return fault }
            guard names.insert(declaration.name).inserted else { return "two buffers are named \(declaration.name)" }
            guard let count = elementCount(declaration.shape(meta)), count <= Int.max / 16 else {
                return "the buffer \(declaration.name) of shape \(declaration.shape(meta)) is too large"
            }
        }
        return nil
    }
}

extension InputType {
    /// Whether frames of this type can be handed on in this form.
    fileprivate func isPossible(of dtype: DType) -> Bool {
        switch self {
        case .native: true
        case .float32: dtype != .bool && !dtype.isComplex
        case .stack: PixelEncoding(dtype: dtype) != nil
        }
    }
}

/// FNV-1a with 64 bits: the inputs are nobody's secret, and only few.
enum ContentHash {
    static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }
}
