// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {HallmarkCall} from "../../../contracts/HallmarkCall.sol";
import {HallmarkConsumer} from "../../../contracts/HallmarkConsumer.sol";
import {HallmarkRouter} from "../../../contracts/HallmarkRouter.sol";
import {IHallmarkRegistry} from "../../../contracts/interfaces/IHallmarkRegistry.sol";
import {IHallmarkRouter} from "../../../contracts/interfaces/IHallmarkRouter.sol";
import {IHallmarkCommittedVerifier} from "../../../contracts/interfaces/IHallmarkVerifier.sol";
import {MockHallmarkVerifier} from "../../../contracts/mocks/MockHallmarkVerifier.sol";
import {CreditVerifier} from "../golden/CreditVerifier.sol";
import {vm} from "../utils/Vm.sol";

// The examples of contracts/README.md, word for word: Readme.t.sol compares them, and runs them.

interface ICommittedCreditVerifier is IHallmarkCommittedVerifier {
    function verify(bytes32 context, uint256[2] calldata model, int256[1] calldata outputs, uint256[16] calldata proof)
        external
        view;
}

contract Lender is HallmarkConsumer {
    CreditVerifier public immutable VERIFIER;
    mapping(address => uint256) public granted;

    constructor(CreditVerifier verifier) HallmarkConsumer("Lender", "1") {
        VERIFIER = verifier;
    }

    /// What a proof is to bring about; a backend asks for the context of it.
    function applyAction(uint256 amount) public pure returns (bytes32) {
        return keccak256(abi.encode("apply", amount));
    }

    function apply_(uint256 amount, Binding calldata binding, int256[1] calldata score, uint256[12] calldata proof)
        external
    {
        bytes32 context = _useSequential(binding, applyAction(amount));
        VERIFIER.verify(context, score, proof); // reverts with a named error
        require(score[0] > 0, "not approved"); // score / OUTPUT0_SCALE is the model's value
        granted[msg.sender] += amount;
    }
}

contract Routed is HallmarkConsumer {
    IHallmarkRouter public immutable ROUTER;
    bytes32 public immutable MODEL; // the verifier's MODEL_ID
    mapping(address => int256) public scores;

    constructor(IHallmarkRouter router, bytes32 model) HallmarkConsumer("Routed", "1") {
        (ROUTER, MODEL) = (router, model);
    }

    function record(Binding calldata binding, int256[1] calldata score, uint256[12] calldata proof) external {
        bytes32 statement = keccak256(abi.encode(MODEL, score));
        bytes32 context = _useUnordered(binding, "record", statement);
        ROUTER.verify(MODEL, abi.encodeCall(CreditVerifier.verify, (context, score, proof)));
        scores[msg.sender] = score[0];
    }
}

contract Committed is HallmarkConsumer {
    ICommittedCreditVerifier public immutable VERIFIER;
    IHallmarkRegistry public immutable REGISTRY;
    bytes32 public immutable ARCHITECTURE;
    mapping(address => int256) public scores;

    constructor(ICommittedCreditVerifier verifier, IHallmarkRegistry registry) HallmarkConsumer("Committed", "1") {
        (VERIFIER, REGISTRY, ARCHITECTURE) = (verifier, registry, verifier.ARCHITECTURE_ID());
    }

    function record(
        Binding calldata binding,
        uint256[2] calldata model,
        int256[1] calldata score,
        uint256[16] calldata proof
    ) external {
        bytes32 modelId = REGISTRY.requireApproved(ARCHITECTURE, model); // reverts and says why not
        bytes32 context = _useUnordered(binding, "record", keccak256(abi.encode(modelId, score)));
        VERIFIER.verify(context, model, score, proof);
        scores[msg.sender] = score[0];
    }
}

/// @notice The owner of a router.
contract RouterOwner {
    function announce(HallmarkRouter router, CreditVerifier verifier) external {
        bytes32 codeHash = address(verifier).codehash;
        bytes memory call = abi.encodeCall(router.addRoute, (verifier.MODEL_ID(), address(verifier), codeHash, shape()));
        router.schedule(call);
    }

    function add(HallmarkRouter router, CreditVerifier verifier) external {
        router.addRoute(verifier.MODEL_ID(), address(verifier), address(verifier).codehash, shape());
    }

    /// verify(bytes32,int256[1],uint256[12])
    function shape() public pure returns (HallmarkCall.Shape memory) {
        return HallmarkCall.Shape({model: 0, outputs: 1, digests: 0, proof: 12});
    }
}

/// @notice A test of `Lender`.
contract LenderTest {
    function test_anApprovedApplicantIsGranted() public {
        MockHallmarkVerifier mock = new MockHallmarkVerifier("model", 1 << 44, HallmarkCall.Shape(0, 1, 0, 12));
        Lender lender = new Lender(CreditVerifier(address(mock)));
        (bytes32 context, HallmarkConsumer.Binding memory binding) =
            lender.sequentialContext(address(this), lender.applyAction(100), block.timestamp);
        mock.acceptContext(context, true);
        uint256[12] memory proof;
        lender.apply_(100, binding, [int256(1)], proof);
        require(lender.granted(address(this)) == 100);
    }
}

contract Submission {
    /// The arguments of `verify` in a file of `hallmark calldata --json`.
    function load(string memory path)
        public
        view
        returns (bytes32 context, int256[1] memory score, uint256[12] memory proof)
    {
        string memory json = vm.readFile(path);
        context = vm.parseJsonBytes32(json, ".context");
        score[0] = int256(uint256(vm.parseJsonBytes32Array(json, ".outputs")[0]));
        bytes32[] memory words = vm.parseJsonBytes32Array(json, ".proof");
        require(words.length == proof.length, "a proof for another verifier");
        for (uint256 i = 0; i < proof.length; i++) {
            proof[i] = uint256(words[i]);
        }
    }

    /// forge script Submission --sig "run(address,string)" $VERIFIER call.json --rpc-url $RPC
    function run(CreditVerifier verifier, string memory path) external view returns (int256 score) {
        (bytes32 context, int256[1] memory outputs, uint256[12] memory proof) = load(path);
        verifier.verify(context, outputs, proof); // reverts with a named error
        return outputs[0];
    }
}
