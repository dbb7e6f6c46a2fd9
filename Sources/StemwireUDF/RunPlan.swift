import StemwireKernels

/// UDFs with their parameters, ready to run on an acquisition: what server, threads and workers agree on.
///
/// A value that can be shared by threads. Planning makes masks and the like, so it is done once, not for each partition.
public struct RunPlan: Sendable {
    /// What the UDFs of a run look at.
    public let meta: UDFMeta
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
    ///   - meta: The acquisition.
    ///   - generation: Rises with every change of parameters during a run.
    /// - Throws: `UDFError`: `badRequest` for the ids or auxiliary data, `unknownUDF` with the known names,
    ///   `badParameter` with the valid parameters and their defaults, `badDeclaration` for faults of the UDF itself.
    public init(
        _ requests: [UDFRequest], registry: UDFRegistry = .builtIn, meta: UDFMeta, generation: UInt32 = 0
    ) throws(UDFError) {
        try self.init(
            requests, registry: registry, meta: meta, generation: generation, blockBytes: Self.blockBytes)
    }

    /// As the public initialiser, with blocks of another size: tests have small frames.
    package init(
        _ requests: [UDFRequest], registry: UDFRegistry, meta: UDFMeta, generation: UInt32 = 0, blockBytes: Int
    ) throws(UDFError) {
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
            guard let entry = registry[request.name] else {
                let known = registry.entries.map(\.name).joined(separator: ", ")
                throw UDFError(.unknownUDF, udf: request.id, "there is no UDF \"\(request.name)\"; known are \(known)")
            }
            planned.append(try PlannedUDF(request, entry, meta, blockBytes: blockBytes))
        }
        self.meta = meta
        self.generation = generation
        udfs = planned
        blockDepth = planned.map(\.tileDepth).max() ?? 1
    }

    /// The frames decoded at once.
    let blockDepth: Int

    /// The scan positions of a partition that are to be processed.
    func selectedCount(in positions: Range<Int>) -> Int { meta.roi?.count(in: positions) ?? positions.count }
}

/// One UDF of a run.
public struct PlannedUDF: Sendable {
    /// Unique in the run.
    public let id: String
    /// The UDF's name in the registry.
    public let name: String
    public let version: Int
    /// All parameters, also those left at their defaults.
    public let parameters: ParameterValue
    /// Equal exactly when name, version and parameters are: tells whether two machines mean the same.
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

    /// What a UDF is called with, by the protocol it conforms to.
    enum Granularity {
        case tile, frame, partition
    }

    /// The buffers that are part of a partition's result.
    var mergedDeclarations: [BufferDeclaration] { declarations.filter(\.isMerged) }

    /// Whether parts of a partition may be merged before it is complete.
    var canFlush: Bool { order == .any && granularity != .partition }

    /// Whether frames must be kept until they can be handed on in fixed tiles.
    var needsWindow: Bool { order == .fixedTree || granularity == .partition }

    init(
        _ request: UDFRequest, _ entry: UDFRegistry.Entry, _ meta: UDFMeta, blockBytes: Int
    ) throws(UDFError) {
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
        name = entry.name
        version = entry.version
        parameters = made.parameters
        contentHash = Self.hash("\(entry.name)\n\(entry.version)\n\(made.parameters.json)")
        udf = made.udf
        self.declarations = declarations
        let exact = declarations.allSatisfy(\.mergesExactly)
        order = udf.order != .automatic ? udf.order : exact ? .any : .fixedTree
        granularity = try Self.granularity(of: udf, id: request.id)
        let isCount = PixelEncoding(dtype: meta.inputDType) != nil
        guard isCount || udf.input == .native || udf.input == .float32 && meta.inputDType == .float32 else {
            throw UDFError(
                .badRequest, udf: request.id, "\(name) does not work on pixels of \(meta.inputDType), only on counts")
        }
        let frameBytes = meta.sigShape.pixelCount * meta.inputDType.byteCount
        let fitting = max(blockBytes / frameBytes, udf.preferredTileDepth, 1)
        tileDepth = min(fitting, meta.framesPerPartition)
        self.meta = ownMeta
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

    /// FNV-1a with 64 bits: the inputs are nobody's secret, and only few.
    private static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }
}
